package wire

// Ask asks everybody to say when they have seen all writes of the sender, up to the head in its header.
//
//	(no fields)
type Ask struct{}

const askFields = 0

// Append appends an ask frame.
func (*Ask) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	return seal(begin(dst, h, KindAsk), start, false)
}

// Parse parses the body of an ask frame.
func (*Ask) Parse(body []byte) error {
	r := reader{b: body}
	return r.end()
}
