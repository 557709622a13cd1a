package wire_test

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

func TestADataFrameCostsNoAllocation(t *testing.T) {
	var (
		h     = header()
		one   = benchRecords(1)
		rs    wire.Records
		data  wire.Data
		frame = appendRecords(nil, &h, &rs, one)
	)
	require.Zero(t, testing.AllocsPerRun(100, func() { frame = appendRecords(frame[:0], &h, &rs, one) }), "append")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, body, err := wire.Open(frame, wire.Limits{})
		if err != nil || data.Parse(body) != nil {
			t.Error(err)
		}
	}), "parse")
	require.Zero(t, testing.AllocsPerRun(100, func() { wire.Sender(frame) }), "sender")

	few, many := []byte("pod-2"), make([][]byte, 100)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	rs.Reset(h.Node, h.Boot)
	rs.Index(few, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { rs.Index(few, 1) }), "index of a few origins")
	for _, node := range many {
		rs.Index(node, 1)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { rs.Index(many[99], 1) }), "index of many origins")
}

func TestAHeartbeatCostsNoAllocation(t *testing.T) {
	var (
		h     = header()
		beat  = wire.Heartbeat{Vector: 1, MinVersion: 1, MaxVersion: 1}
		frame = beat.Append(nil, &h)
	)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		frame = beat.Append(frame[:0], &h)
		_, body, err := wire.Open(frame, wire.Limits{})
		if err != nil || beat.Parse(body) != nil {
			t.Error(err)
		}
	}))
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Every byte of every sample is replaced by the head of something that claims to be huge.
func TestLengthsThatLieCostNothing(t *testing.T) {
	heads := [][]byte{
		{0xdd, 0xff, 0xff, 0xff, 0xff},       // array 32
		{0xdd, 0x00, 0x10, 0x00, 0x00},       // array 32, a million
		{0xdc, 0xff, 0xff},                   // array 16
		{0xdb, 0xff, 0xff, 0xff, 0xff},       // str 32
		{0xc6, 0xff, 0xff, 0xff, 0xff},       // bin 32
		{0xc9, 0xff, 0xff, 0xff, 0xff, 0x01}, // ext 32, type 1
	}
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		for i := 5; i < len(frame)-5; i++ {
			for _, head := range heads {
				lie := seal(slices.Concat(frame[:i], head, frame[i+1:]))
				bytes := allocated(func() { _, _, _ = parse(t, lie, wire.Limits{}) })
				require.Less(t, bytes, uint64(128<<10), "%s with %x at byte %d", s.name, head, i)
			}
		}
	}
}

// A list may be full of the smallest elements there are.
func TestLongListsCostMemoryInProportion(t *testing.T) {
	const most = 100 // bytes allocated in all for each byte of the frame: the largest element by the smallest, twice
	h := header()
	for _, n := range []int{1_000, 100_000} {
		var (
			list   wire.RecordList
			vector = make([]wire.VectorEntry, n)
			held   = make([]wire.HeldEntry, n)
		)
		for i := range n {
			dots := []wire.Dot{{Origin: uint32(i), Seq: 1}, {Seq: 1}}
			list.Origins = append(list.Origins, wire.Origin{Boot: uint64(i)})
			list.Records = append(list.Records, wire.Record{Key: []byte("k"), Seq: 1, Value: []byte{}, Replaced: dots})
			vector[i].Spans = []wire.Span{{First: 2, Last: 2}, {First: 4, Last: 4}}
			held[i].Live, held[i].Dead = vector[i].Spans, vector[i].Spans
		}
		for _, m := range []message{
			&wire.Want{Vector: vector},
			&wire.Have{Vector: vector, Held: held, RecordList: list},
			&wire.Snapshot{Vector: vector, RecordList: list},
		} {
			frame := appendMessage(t, nil, &h, m, false)
			bytes := allocated(func() {
				_, got, err := parse(t, frame, wire.Limits{MaxFrame: len(frame)})
				require.NoError(t, err)
				require.NotNil(t, got)
			})
			require.Less(t, bytes, uint64(most*len(frame)), "%T with %d elements, %d bytes", m, n, len(frame))
		}
	}
}

// The densest hostile body: minimal records, in fewer bytes than any writer makes them.
func TestTheSmallestRecordsCostMemoryInProportion(t *testing.T) {
	const n = 100_000
	h := header()
	frame := wire.AppendData(nil, &h, func() *wire.Records { rs := &wire.Records{}; rs.Reset(h.Node, h.Boot); return rs }(), false)
	frame = append(frame[:len(frame)-6], 0xdd) // in place of the empty list of records
	frame = binary.BigEndian.AppendUint32(frame, n)
	for range n {
		frame = append(frame, 0x96, byte(wire.FlagDelete), 0xa1, 'k', 0, 1, 0, 0xc0)
	}
	frame = seal(append(frame, make([]byte, 5)...))
	bytes := allocated(func() {
		_, m, err := parse(t, frame, wire.Limits{})
		require.NoError(t, err)
		require.Len(t, m.(*wire.Data).Records, n)
	})
	require.Less(t, bytes, uint64(50*len(frame)))
}
