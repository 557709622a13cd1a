package wire_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// stamp is 2026-02-02T02:40:00Z.
const stamp int64 = 1_770_000_000_000_000_000

// header returns the header of the samples, without a kind.
func header() wire.Header {
	return wire.Header{
		Node: []byte("pod-1"), Boot: 0x1890abcdef123456, Clock: stamp + 1, Head: 42, Codec: []byte("json"),
	}
}

// message is what every kind has; a data, have or snapshot frame is appended by a function instead.
type message interface{ Parse(body []byte) error }

// newMessage returns an empty message of a kind.
func newMessage(t testing.TB, kind wire.Kind) message {
	t.Helper()
	switch kind {
	case wire.KindData:
		return &wire.Data{}
	case wire.KindHeartbeat:
		return &wire.Heartbeat{}
	case wire.KindGoodbye:
		return &wire.Goodbye{}
	case wire.KindWant:
		return &wire.Want{}
	case wire.KindList:
		return &wire.List{}
	case wire.KindHave:
		return &wire.Have{}
	case wire.KindMore:
		return &wire.More{}
	case wire.KindLapse:
		return &wire.Lapse{}
	case wire.KindAsk:
		return &wire.Ask{}
	case wire.KindSeen:
		return &wire.Seen{}
	case wire.KindSnapshot:
		return &wire.Snapshot{}
	default:
		t.Fatalf("no message of %v", kind)
		return nil
	}
}

// parse opens and parses a frame of any kind.
func parse(t testing.TB, frame []byte, lim wire.Limits) (wire.Header, message, error) {
	t.Helper()
	h, body, err := wire.Open(frame, lim)
	if err != nil {
		return wire.Header{}, nil, err
	}
	m := newMessage(t, h.Kind)
	return h, m, m.Parse(body)
}

// appendMessage appends the frame of a message.
func appendMessage(t testing.TB, dst []byte, h *wire.Header, m message, compress bool) []byte {
	t.Helper()
	switch m := m.(type) {
	case *wire.Data:
		return wire.AppendData(dst, h, records(t, h, &m.RecordList), compress)
	case *wire.Have:
		return wire.AppendHave(dst, h, m, records(t, h, &m.RecordList), compress)
	case *wire.Snapshot:
		return wire.AppendSnapshot(dst, h, m, records(t, h, &m.RecordList), compress)
	case interface {
		Append(dst []byte, h *wire.Header) []byte
	}:
		return m.Append(dst, h)
	default:
		t.Fatalf("cannot append %T", m)
		return nil
	}
}

// records encodes a list.
func records(t testing.TB, h *wire.Header, list *wire.RecordList) *wire.Records {
	t.Helper()
	rs := &wire.Records{}
	rs.Reset(h.Node, h.Boot)
	for i, o := range list.Origins {
		require.Equal(t, uint32(i+1), rs.Index(o.Node, o.Boot))
	}
	for i := range list.Records {
		rs.Add(&list.Records[i])
	}
	return rs
}

// seal gives a frame the checksum that it should have; its last five bytes are replaced.
func seal(frame []byte) []byte {
	end := len(frame) - 5
	sum := crc32.Checksum(frame[:end], crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(append(frame[:end], 0xce), sum)
}

type sample struct {
	name string
	kind wire.Kind
	msg  message
}

// samples returns one message of every kind, with every field set, every optional one both set and not.
func samples() []sample {
	var (
		to   = wire.ID{Boot: 0x1890abcdef999999, Node: wire.HashNode("pod-2")}
		pod3 = wire.ID{Boot: 77, Node: wire.HashNode("pod-3")}
		list = wire.RecordList{
			Origins: []wire.Origin{{Node: []byte("pod-2"), Boot: to.Boot}, {Node: []byte("pod-3"), Boot: 77}},
			Records: []wire.Record{
				{Key: []byte("a"), Seq: 1, Stamp: stamp, Value: []byte(`{"on":true}`)},
				{Key: []byte("empty"), Origin: 1, Seq: 200, Stamp: 0, Value: []byte{}},
				{
					Flags: wire.FlagDelete | wire.FlagReplaced,
					Key:   []byte("b"), Origin: 2, Seq: 70_000, Stamp: wire.MaxStamp,
					Replaced: []wire.Dot{{Origin: 0, Seq: 1}, {Origin: 1, Seq: wire.MaxSeq}},
				},
				{
					Flags: wire.FlagSeed | wire.FlagOwned | wire.FlagDeadline | wire.FlagReplaced | wire.FlagBatch,
					Key:   []byte("c"), Seq: 41, Stamp: stamp, Value: []byte("1"), Deadline: stamp + 1e9,
					Replaced: []wire.Dot{{Origin: 2, Seq: 9}}, BatchFirst: 40, BatchLen: 2,
				},
				{Flags: wire.FlagExpired | wire.FlagDeadline, Key: []byte("d"), Seq: 38, Stamp: stamp, Deadline: stamp + 1},
				{Flags: wire.FlagLapsed | wire.FlagOwned, Key: []byte("e"), Seq: 39, Stamp: stamp},
				{Key: []byte("f"), Seq: 37, Stamp: stamp, Withheld: true},
			},
		}
		vector = []wire.VectorEntry{
			{ID: to, Head: 300, Mark: 12},
			{ID: pod3, Head: 0, Mark: 0, Spans: []wire.Span{{First: 2, Last: 2}, {First: 4, Last: wire.MaxSeq}}},
		}
	)
	return []sample{
		{"data", wire.KindData, &wire.Data{RecordList: list}},
		{"data-empty", wire.KindData, &wire.Data{}},
		{"heartbeat", wire.KindHeartbeat, &wire.Heartbeat{
			Vector: 1 << 63, Digest: 2, Owned: 3, IntervalMillis: 1000, MinVersion: 1, MaxVersion: 2, Pods: 300, Flags: 0x81,
		}},
		{"goodbye", wire.KindGoodbye, &wire.Goodbye{}},
		{"want", wire.KindWant, &wire.Want{To: to, Series: 1 << 40, Full: true, Vector: vector, Rest: 99}},
		{"want-all", wire.KindWant, &wire.Want{To: to, Series: 1, All: true, Empty: true, MaxFrame: 16 << 20}},
		{"list", wire.KindList, &wire.List{To: to, Series: 5}},
		{"have", wire.KindHave, &wire.Have{
			To: to, Series: 5, Index: 3, Last: true, Full: true, RecordList: list, Vector: vector,
			Held:  []wire.HeldEntry{{ID: pod3, Live: []wire.Span{{First: 1, Last: 5}}, Dead: []wire.Span{{First: 7, Last: 7}}}, {ID: to}},
			Floor: stamp,
		}},
		{"have-first", wire.KindHave, &wire.Have{To: to, Series: 5, RecordList: list}},
		{"more", wire.KindMore, &wire.More{To: to, Series: 5, Next: 4}},
		{"lapse", wire.KindLapse, &wire.Lapse{To: to}},
		{"ask", wire.KindAsk, &wire.Ask{}},
		{"seen", wire.KindSeen, &wire.Seen{To: to, Head: 70_000}},
		{"snapshot", wire.KindSnapshot, &wire.Snapshot{
			Partial: true, Floor: stamp, Vector: vector,
			RecordList: list,
		}},
		{"snapshot-whole", wire.KindSnapshot, &wire.Snapshot{RecordList: list}},
	}
}
