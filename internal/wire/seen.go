package wire

// Seen answers an ask.
//
//	to [boot u64, node hash u64] | head uint
type Seen struct {
	To   ID
	Head uint64 // the sender has seen all writes of To up to this one
}

const seenFields = 2

// Append appends a seen frame.
func (m *Seen) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindSeen)
	b = appendID(b, m.To)
	b = appendUint(b, m.Head)
	return seal(b, start, false)
}

// Parse parses the body of a seen frame.
func (m *Seen) Parse(body []byte) error {
	r := reader{b: body}
	m.To = r.to()
	m.Head = r.head("seen head")
	return r.end()
}
