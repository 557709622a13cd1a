package wire

// Want asks one peer for what the sender lacks.
//
//	to [boot u64, node hash u64] | series uint | flags uint | max frame uint
//	vector [entry …] | rest u64
//
// Flags: 1 full, 2 all, 4 empty.
type Want struct {
	To       ID
	Series   uint64        // names the answer, whose chunks repeat it
	Full     bool          // asks for a full comparison: the answer is to list all dots held
	All      bool          // Vector lists all origins
	Empty    bool          // the sender holds nothing, so that it cannot have missed a delete
	MaxFrame uint64        // the largest frame that the sender accepts, bytes; 0: it does not say
	Vector   []VectorEntry // what the sender has seen, mostly of live origins only
	Rest     uint64        // hash of what it has seen of the origins not listed

	spans []Span // the arena of Vector
}

const (
	wantFields = 6

	wantFull  = 1
	wantAll   = 2
	wantEmpty = 4
	wantFlags = wantFull | wantAll | wantEmpty
)

// Append appends a want frame.
func (m *Want) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindWant)
	b = appendID(b, m.To)
	b = appendUint(b, m.Series)
	b = appendUint(b, bit(m.Full, wantFull)|bit(m.All, wantAll)|bit(m.Empty, wantEmpty))
	b = appendUint(b, m.MaxFrame)
	b = appendVector(b, m.Vector)
	b = appendUint64(b, m.Rest)
	return seal(b, start, false) // a vector is mostly hashes, which do not compress
}

// Parse parses the body of a want frame.
func (m *Want) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	m.Series = r.uint("series")
	flags := r.flags(wantFlags, "want flags")
	m.Full = flags&wantFull != 0
	m.All = flags&wantAll != 0
	m.Empty = flags&wantEmpty != 0
	m.MaxFrame = r.uint("want max frame")
	m.Vector, m.spans = r.vector(m.Vector, m.spans[:0])
	m.Rest = r.uint64("want rest")
	return r.end()
}
