package wire

// Snapshot is the state of a store at rest, or the part of it that changed.
//
//	flags uint | count uint | floor u64 | vector [entry …] | counts [count …]
//	origins | records                       (see RecordList)
//	absent [key str …]
//
// Flags: 1 partial.
type Snapshot struct {
	Partial bool   // holds only the keys that changed, to be merged into the whole
	Count   uint64 // which merge of its writer this is
	Floor   int64  // the newest stamp collected: ns since the Unix epoch, 0 to MaxStamp
	Vector  []VectorEntry
	Counts  []Count // how often each pod has merged
	RecordList
	Absent [][]byte // keys that changed and are not held; none is empty

	spans []Span // the arena of Vector
}

const (
	snapshotFields = 6 + recordListFields

	snapshotPartial = 1
	snapshotFlags   = snapshotPartial

	minKeyBytes = 2
)

// AppendSnapshot appends a snapshot frame with the records of r, which was Reset with the sender that h names,
// and everything else of s.
func AppendSnapshot(dst []byte, h *Header, s *Snapshot, r *Records, compress bool) []byte {
	start := len(dst)
	b := begin(dst, h, KindSnapshot)
	b = appendUint(b, bit(s.Partial, snapshotPartial))
	b = appendUint(b, s.Count)
	b = appendUint64(b, uint64(s.Floor))
	b = appendVector(b, s.Vector)
	b = appendCounts(b, s.Counts)
	b = r.append(b)
	b = appendArray(b, len(s.Absent))
	for _, key := range s.Absent {
		b = appendStr(b, key)
	}
	return seal(b, start, compress)
}

// Parse parses the body of a snapshot frame.
func (s *Snapshot) Parse(body []byte) error {
	r := reader{b: body}
	s.Partial = r.flags(snapshotFlags, "snapshot flags")&snapshotPartial != 0
	s.Count = r.uint("snapshot count")
	s.Floor = r.stamp("floor")
	s.Vector, s.spans = r.vector(s.Vector, s.spans[:0])
	s.Counts = r.counts(s.Counts)
	r.recordList(&s.RecordList)
	s.Absent = r.absent(s.Absent)
	return r.end()
}

// absent takes an array of keys into keys, whose contents are replaced.
func (r *reader) absent(keys [][]byte) [][]byte {
	old := len(keys)
	n := r.array(minKeyBytes, "absent")
	keys = keys[:0]
	for ; n > 0 && r.ok(); n-- {
		keys = append(grow(keys, n), r.key("absent key"))
	}
	clearTail(keys, old)
	return keys
}
