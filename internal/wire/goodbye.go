package wire

// Goodbye says that the sender's run ends: no frame of it follows. It has no fields.
type Goodbye struct{}

const goodbyeFields = 0

// Append appends a goodbye frame.
func (m *Goodbye) Append(dst []byte, h *Header) []byte {
	return seal(begin(dst, h, KindGoodbye), len(dst), false)
}

// Parse parses the body of a goodbye frame.
func (m *Goodbye) Parse(body []byte) error {
	r := reader{b: body}
	return r.end()
}
