package wire

// More lets the answerer of a want go on: the sender has all chunks below Next.
//
//	to [boot u64, node hash u64] | series uint | next uint
type More struct {
	To     ID
	Series uint64 // of the want
	Next   uint64
}

const moreFields = 3

// Append appends a more frame.
func (m *More) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindMore)
	b = appendID(b, m.To)
	b = appendUint(b, m.Series)
	b = appendUint(b, m.Next)
	return seal(b, start, false)
}

// Parse parses the body of a more frame.
func (m *More) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	m.Series = r.uint("series")
	m.Next = r.uint("more next")
	return r.end()
}
