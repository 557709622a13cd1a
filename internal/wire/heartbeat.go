package wire

// Heartbeat says that the sender lives, and by three hashes what it holds.
//
//	vector u64 | digest u64 | owned u64 | interval uint | min version uint | max version uint | pods uint | flags uint
type Heartbeat struct {
	Vector         uint64 // hash of the sender's vector
	Digest         uint64 // hash of its live entries that have neither deadline nor owner
	Owned          uint64 // hash of its own live owned writes
	IntervalMillis uint64 // its heartbeat interval, ms; any number: the reader of a peer's word must bound it
	MinVersion     uint8  // the oldest and the newest version of the format that it reads; Min ≤ Max
	MaxVersion     uint8
	Pods           uint64 // how many live pods it counts, itself included
	Flags          uint8  // left to the layer above
}

const heartbeatFields = 8

// Append appends a heartbeat frame.
func (m *Heartbeat) Append(dst []byte, h *Header) []byte {
	start := len(dst)
	b := begin(dst, h, KindHeartbeat)
	b = appendUint64(b, m.Vector)
	b = appendUint64(b, m.Digest)
	b = appendUint64(b, m.Owned)
	b = appendUint(b, m.IntervalMillis)
	b = appendUint(b, uint64(m.MinVersion))
	b = appendUint(b, uint64(m.MaxVersion))
	b = appendUint(b, m.Pods)
	b = appendUint(b, uint64(m.Flags))
	return seal(b, start, false)
}

// Parse parses the body of a heartbeat frame.
func (m *Heartbeat) Parse(body []byte) error {
	r := reader{b: body}
	m.Vector = r.uint64("heartbeat vector")
	m.Digest = r.uint64("heartbeat digest")
	m.Owned = r.uint64("heartbeat owned")
	m.IntervalMillis = r.uint("heartbeat interval")
	m.MinVersion = uint8(r.atMost(0xff, "heartbeat version"))
	m.MaxVersion = uint8(r.atMost(0xff, "heartbeat version"))
	if m.MinVersion > m.MaxVersion {
		r.fail("heartbeat version")
	}
	m.Pods = r.uint("heartbeat pods")
	m.Flags = uint8(r.atMost(0xff, "heartbeat flags"))
	return r.end()
}
