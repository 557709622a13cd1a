package wire

// Snapshot is the state of a store at rest, or one row of it.
//
//	flags uint | floor u64 | vector [entry …]
//	origins | records             (see RecordList)
//
// Flags: 1 partial.
type Snapshot struct {
	Partial bool  // the records of one row; what it covers is in other rows
	Floor   int64 // the newest stamp collected: ns since the Unix epoch, 0 to MaxStamp
	Vector  []VectorEntry
	RecordList

	spans []Span // the arena of Vector
}

const (
	snapshotFields = 3 + recordListFields

	snapshotPartial = 1
	snapshotFlags   = snapshotPartial
)

// AppendSnapshot appends a snapshot frame with the records of r, which was Reset with the sender that h names,
// and everything else of s.
func AppendSnapshot(dst []byte, h *Header, s *Snapshot, r *Records, compress bool) []byte {
	start := len(dst)
	b := begin(dst, h, KindSnapshot)
	b = appendUint(b, bit(s.Partial, snapshotPartial))
	b = appendUint64(b, uint64(s.Floor))
	b = appendVector(b, s.Vector)
	b = r.append(b)
	return seal(b, start, compress)
}

// Parse parses the body of a snapshot frame.
func (s *Snapshot) Parse(body []byte) error {
	r := reader{b: body}
	s.Partial = r.flags(snapshotFlags, "snapshot flags")&snapshotPartial != 0
	s.Floor = r.stamp("floor")
	s.Vector, s.spans = r.vector(s.Vector, s.spans[:0])
	r.recordList(&s.RecordList)
	return r.end()
}
