package wire

// Have is one chunk of the answer to a want. Vector and Held are those of all chunks together: what one entry cannot
// hold is in several of the same ID.
//
//	to [boot u64, node hash u64] | series uint | index uint | flags uint
//	origins | records                       (see RecordList)
//	vector [entry …] | held [entry …] | floor u64
//
// Flags: 1 last, 2 full.
type Have struct {
	To     ID
	Series uint64 // of the want
	Index  uint64 // of the chunk, from 0
	Last   bool   // no chunk has a higher index
	Full   bool   // Held lists all that the sender holds: the answer is a full comparison
	RecordList
	Vector []VectorEntry // what the sender had seen before it read the first record
	Held   []HeldEntry
	Floor  int64 // the newest stamp it had collected then: ns since the Unix epoch, 0 to MaxStamp

	spans []Span // the arena of Vector and Held
}

const (
	haveFields = 7 + recordListFields

	haveLast  = 1
	haveFull  = 2
	haveFlags = haveLast | haveFull
)

// AppendHave appends a have frame with the records of r, which was Reset with the sender that h names, and
// everything else of m.
func AppendHave(dst []byte, h *Header, m *Have, r *Records, compress bool) []byte {
	start := len(dst)
	b := begin(dst, h, KindHave)
	b = appendID(b, m.To)
	b = appendUint(b, m.Series)
	b = appendUint(b, m.Index)
	b = appendUint(b, bit(m.Last, haveLast)|bit(m.Full, haveFull))
	b = r.append(b)
	b = appendVector(b, m.Vector)
	b = appendHeld(b, m.Held)
	b = appendUint64(b, uint64(m.Floor))
	return seal(b, start, compress)
}

// Parse parses the body of a have frame.
func (m *Have) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	m.Series = r.uint("series")
	m.Index = r.uint("have index")
	flags := r.flags(haveFlags, "have flags")
	m.Last, m.Full = flags&haveLast != 0, flags&haveFull != 0
	r.recordList(&m.RecordList)
	m.Vector, m.spans = r.vector(m.Vector, m.spans[:0])
	m.Held, m.spans = r.held(m.Held, m.spans)
	m.Floor = r.stamp("floor")
	return r.end()
}
