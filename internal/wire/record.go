package wire

// Flags say what kind of write a record is.
type Flags uint8

// At most one of FlagDelete, FlagExpired and FlagLapsed is set; a record with one of them is a tombstone and has
// no value. The last three say which optional fields follow.
const (
	FlagDelete   Flags = 1 << iota // the key was deleted
	FlagExpired                    // the write is past its deadline
	FlagLapsed                     // the owner of the write is gone
	FlagSeed                       // ordered below every write that is no seed
	FlagOwned                      // lives as long as its origin
	FlagDeadline                   // Deadline is set
	FlagReplaced                   // Replaced is not empty
	FlagBatch                      // BatchFirst and BatchLen are set

	flagsDead     = FlagDelete | FlagExpired | FlagLapsed
	flagsOptional = FlagDeadline | FlagReplaced | FlagBatch
)

// Dead reports whether the record is a tombstone.
func (f Flags) Dead() bool { return f&flagsDead != 0 }

// Dot names a write: the Seq-th of an origin.
type Dot struct {
	Origin uint32 // 0 is the sender of the frame, i > 0 is RecordList.Origins[i-1]
	Seq    uint64 // 1 to MaxSeq
}

// Record is one write.
//
//	array(6+n)  flags uint | key str | origin uint | seq uint | stamp u64 | value bin or nil
//	            … deadline u64                        with FlagDeadline
//	            … replaced [origin uint, seq uint …]  with FlagReplaced
//	            … first uint | length uint            with FlagBatch
//
// The value of a tombstone is nil, and that of a live write which is withheld: it does not fit into what its receiver
// takes. Times are in ns since the Unix epoch, 0 to MaxStamp. The writes BatchFirst to BatchFirst+BatchLen-1 of the
// record's origin, this one among them, were made as one batch.
type Record struct {
	Flags                Flags
	Origin               uint32 // as in Dot
	Key                  []byte // not empty
	Seq                  uint64 // 1 to MaxSeq
	Stamp                int64
	Deadline             int64  // 0: none
	Value                []byte // of a tombstone, and withheld: nil
	Withheld             bool   // the write is live, and its value is not sent
	Replaced             []Dot  // what the write replaced at its writer, at most MaxReplaced
	BatchFirst, BatchLen uint64 // BatchLen 0: no batch
}

// MaxReplaced is the largest number of writes that a record may replace. It bounds what one record makes its readers do.
const MaxReplaced = 1024

const (
	recordFields   = 6
	minRecordBytes = 1 + recordFields + 1 // a key takes two
)

// optionalFields returns how many fields the flags add to a record.
func (f Flags) optionalFields() int {
	n := 0
	if f&FlagDeadline != 0 {
		n++
	}
	if f&FlagReplaced != 0 {
		n++
	}
	if f&FlagBatch != 0 {
		n += 2
	}
	return n
}

// sentFlags returns the flags that the record is sent with.
func (rec *Record) sentFlags() Flags {
	f := rec.Flags &^ flagsOptional
	if rec.Deadline != 0 {
		f |= FlagDeadline
	}
	if len(rec.Replaced) > 0 {
		f |= FlagReplaced
	}
	if rec.BatchLen > 0 {
		f |= FlagBatch
	}
	return f
}

func (rec *Record) append(b []byte) []byte {
	f := rec.sentFlags()
	b = append(b, codeFixArray|byte(recordFields+f.optionalFields())) // 10 elements at the most
	b = appendUint(b, uint64(f))
	b = appendStr(b, rec.Key)
	b = appendUint(b, uint64(rec.Origin))
	b = appendUint(b, rec.Seq)
	b = appendUint64(b, uint64(rec.Stamp))
	if f.Dead() || rec.Withheld {
		b = append(b, codeNil)
	} else {
		b = appendBin(b, rec.Value)
	}
	if f&flagsOptional != 0 {
		b = rec.appendOptional(b, f)
	}
	return b
}

func (rec *Record) appendOptional(b []byte, f Flags) []byte {
	if f&FlagDeadline != 0 {
		b = appendUint64(b, uint64(rec.Deadline))
	}
	if f&FlagReplaced != 0 {
		b = appendArray(b, 2*len(rec.Replaced))
		for _, d := range rec.Replaced {
			b = appendUint(appendUint(b, uint64(d.Origin)), d.Seq)
		}
	}
	if f&FlagBatch != 0 {
		b = appendUint(appendUint(b, rec.BatchFirst), rec.BatchLen)
	}
	return b
}

// record takes a record into rec, which must be zero. Origins are refused above maxOrigin. What the record
// replaced is appended to arena.
func (r *reader) record(rec *Record, maxOrigin uint64, arena []Dot) (grown []Dot) {
	n := r.array(1, "record")
	f := Flags(r.atMost(0xff, "record flags"))
	if dead := f & flagsDead; dead&(dead-1) != 0 {
		r.fail("record flags")
	}
	if n != recordFields+f.optionalFields() {
		r.fail("record")
	}
	rec.Flags = f
	rec.Key = r.key("record key")
	rec.Origin = uint32(r.atMost(maxOrigin, "record origin"))
	rec.Seq = r.seq("record seq")
	rec.Stamp = r.stamp("record stamp")
	switch {
	case f.Dead():
		r.null("record value")
	case r.isNull():
		r.null("record value")
		rec.Withheld = true
	default:
		rec.Value = r.bin("record value")
	}
	if f&flagsOptional != 0 {
		arena = r.optional(rec, maxOrigin, arena)
	}
	return arena
}

func (r *reader) optional(rec *Record, maxOrigin uint64, arena []Dot) (grown []Dot) {
	if rec.Flags&FlagDeadline != 0 {
		if rec.Deadline = r.stamp("record deadline"); rec.Deadline == 0 {
			r.fail("record deadline")
		}
	}
	if rec.Flags&FlagReplaced != 0 {
		rec.Replaced, arena = r.dots(maxOrigin, arena)
	}
	if rec.Flags&FlagBatch != 0 {
		rec.BatchFirst, rec.BatchLen = r.seq("record batch"), r.seq("record batch")
		if rec.Seq < rec.BatchFirst || rec.Seq-rec.BatchFirst >= rec.BatchLen || rec.BatchFirst+rec.BatchLen-1 > MaxSeq {
			r.fail("record batch")
		}
	}
	return arena
}

// dots takes an array of dots, one to MaxReplaced, and appends them to arena.
func (r *reader) dots(maxOrigin uint64, arena []Dot) (dots, grown []Dot) {
	const field = "record replaced"
	n := r.array(1, field)
	if n == 0 || n%2 != 0 || n > 2*MaxReplaced {
		r.fail(field)
	}
	start := len(arena)
	for ; n > 0 && r.ok(); n -= 2 {
		arena = append(growArena(arena, n/2), Dot{Origin: uint32(r.atMost(maxOrigin, field)), Seq: r.seq(field)})
	}
	// Dots of earlier records stay in the array that arena had before it grew.
	return arena[start:len(arena):len(arena)], arena
}
