package wire

// headerFields is the number of elements that the header takes in the body.
const headerFields = 6

// Header is what every frame says of its sender.
//
//	array(6+n)  kind uint | node str | boot u64 | clock u64 | head uint | codec str | … the kind's n fields
//
// Node and boot are the sender's origin, the one that records and dots name by the index 0.
type Header struct {
	Kind  Kind
	Node  []byte
	Boot  uint64
	Clock int64  // the sender's clock when it made the frame: ns since the Unix epoch, 0 to MaxStamp
	Head  uint64 // how many writes the sender made, 0 to MaxSeq
	Codec []byte // the name of what encodes the values
}

// ID returns the identity of the sender.
func (h *Header) ID() ID { return ID{Boot: h.Boot, Node: HashNode(h.Node)} }

// maxBytes bounds what begin appends for the header.
func (h *Header) maxBytes() int {
	const strHead, uintHead = 5, 1
	return prefixBytes + arrayHeadLen(headerFields) + uintHead + strHead + len(h.Node) + 3*uint64Bytes + strHead + len(h.Codec)
}

// append appends the head of the body and the header, with the given kind. A clock that is off the scale is
// sent as the nearest end of it, so that peers can tell its owner.
func (h *Header) append(b []byte, kind Kind) []byte {
	fields, _ := kind.fields()
	b = append(appendArray(b, headerFields+fields), byte(kind))
	b = appendStr(b, h.Node)
	b = appendUint64(b, h.Boot)
	b = appendUint64(b, uint64(min(max(h.Clock, 0), MaxStamp)))
	b = appendUint(b, h.Head)
	return appendStr(b, h.Codec)
}

func (h *Header) parse(r *reader) {
	h.parseSender(r)
	h.Clock = r.stamp("clock")
	h.Head = r.head("head")
	h.Codec = r.str("codec")
}

// parseSender parses the part that says what the frame is and whose.
func (h *Header) parseSender(r *reader) {
	n := r.array(1, "body")
	h.Kind = Kind(r.atMost(0xff, "kind"))
	fields, known := h.Kind.fields()
	switch {
	case !known:
		r.fail("kind")
	case n != headerFields+fields:
		r.fail("body")
	}
	h.Node = r.str("node")
	h.Boot = r.uint64("boot")
}
