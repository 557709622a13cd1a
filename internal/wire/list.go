package wire

// List answers a want whose rest differs from what the answerer has: the asker is to list all origins.
//
//	to [boot u64, node hash u64] | series uint
type List struct {
	To     ID
	Series uint64 // of the want
}

const listFields = 2

// Append appends a list frame.
func (m *List) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindList)
	b = appendID(b, m.To)
	b = appendUint(b, m.Series)
	return seal(b, start, false)
}

// Parse parses the body of a list frame.
func (m *List) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	m.Series = r.uint("series")
	return r.end()
}
