package wire

// Lapse tells an owner that the sender, who has seen all its writes, sees its owned keys differently.
//
//	to [boot u64, node hash u64]
type Lapse struct{ To ID }

const lapseFields = 1

// Append appends a lapse frame.
func (m *Lapse) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindLapse)
	b = appendID(b, m.To)
	return seal(b, start, false)
}

// Parse parses the body of a lapse frame.
func (m *Lapse) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	return r.end()
}
