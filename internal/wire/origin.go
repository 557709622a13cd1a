package wire

// ID is the identity of an origin (one run of one store) on the wire.
type ID struct {
	Boot uint64 // the run: start time with random low bits
	Node uint64 // HashNode of the node name
}

// Origin is an origin by name, as records need it: their order depends on the name.
type Origin struct {
	Node []byte
	Boot uint64
}

// ID returns the identity of the origin.
func (o *Origin) ID() ID { return ID{Boot: o.Boot, Node: HashNode(o.Node)} }

// HashNode returns the 64-bit hash of a node name: FNV-1a, whose upper bits depend little on the last bytes,
// finished by the mixer of MurmurHash3. It is part of the format and never changes.
func HashNode[N ~string | ~[]byte](node N) uint64 {
	const offset, prime = 0xcbf29ce484222325, 0x100000001b3
	h := uint64(offset)
	for i := range len(node) {
		h = (h ^ uint64(node[i])) * prime
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// appendID appends array(2): boot u64 | node hash u64.
func appendID(b []byte, id ID) []byte {
	return appendIDFields(appendArray(b, 2), id)
}

// appendIDFields appends the two elements of an ID as part of a larger array.
func appendIDFields(b []byte, id ID) []byte {
	return appendUint64(appendUint64(b, id.Boot), id.Node)
}

// to takes the addressee of a frame.
func (r *reader) to() ID {
	r.arrayOf(2, "to")
	return r.idFields("to")
}

func (r *reader) idFields(field string) ID {
	return ID{Boot: r.uint64(field), Node: r.uint64(field)}
}

// appendOrigin appends array(2): node str | boot u64.
func appendOrigin(b []byte, node []byte, boot uint64) []byte {
	return appendUint64(appendStr(appendArray(b, 2), node), boot)
}

const minOriginBytes = 3

func (r *reader) origin() Origin {
	r.arrayOf(2, "origin")
	return Origin{Node: r.str("origin node"), Boot: r.uint64("origin boot")}
}
