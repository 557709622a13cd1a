package wire_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

func TestAnOriginHasOneIndexHoweverManyThereAre(t *testing.T) {
	var (
		h  = header()
		rs wire.Records
	)
	for range 2 { // the second time with the memory of the first
		rs.Reset(h.Node, h.Boot)
		for round := range 2 {
			for i := range 100 {
				node := fmt.Appendf(nil, "pod-%d", i/2) // each name twice, in two runs
				boot := uint64(i % 2)
				require.Equal(t, uint32(i+1), rs.Index(node, boot), "round %d", round)
			}
			require.Zero(t, rs.Index(h.Node, h.Boot), "the sender")
		}
		_, m, err := parse(t, wire.AppendData(nil, &h, &rs, false), wire.Limits{})
		require.NoError(t, err)
		origins := m.(*wire.Data).Origins
		require.Len(t, origins, 100)
		require.Equal(t, wire.Origin{Node: []byte("pod-49"), Boot: 1}, origins[99])
		require.Equal(t, wire.ID{Boot: 1, Node: wire.HashNode("pod-49")}, origins[99].ID())
	}
}

func TestRecordsKnowTheirLength(t *testing.T) {
	h := header()
	var rs wire.Records
	rs.Reset(h.Node, h.Boot)
	empty := len(wire.AppendData(nil, &h, &rs, false)) - rs.Len()
	for i := range 70_000 { // past every width of an array's head
		rs.Add(&wire.Record{Key: []byte("k"), Seq: uint64(i + 1)})
		if i < 100 || i%10_000 == 0 || i > 65_530 && i < 65_540 {
			rs.Index([]byte("pod"), uint64(i))
			require.Equal(t, i+1, rs.Count())
			require.Len(t, wire.AppendData(nil, &h, &rs, false), empty+rs.Len())
		}
	}
}

func TestRecordsCopyWhatTheyAreGiven(t *testing.T) {
	h := header()
	var rs wire.Records
	rs.Reset(h.Node, h.Boot)
	key, value, node := []byte("k"), []byte("v"), []byte("n")
	rec := wire.Record{Key: key, Value: value, Seq: 1, Origin: rs.Index(node, 1)}
	rs.Add(&rec)
	key[0], value[0], node[0] = 'x', 'x', 'x'
	_, m, err := parse(t, wire.AppendData(nil, &h, &rs, false), wire.Limits{})
	require.NoError(t, err)
	data := m.(*wire.Data)
	require.Equal(t, "k", string(data.Records[0].Key))
	require.Equal(t, "v", string(data.Records[0].Value))
	require.Equal(t, "n", string(data.Origins[0].Node))
}

func TestOptionalFlagsFollowFromTheFields(t *testing.T) {
	const optional = wire.FlagDeadline | wire.FlagReplaced | wire.FlagBatch
	h := header()
	for _, given := range []wire.Flags{0, optional} {
		data := &wire.Data{RecordList: wire.RecordList{Records: []wire.Record{
			{Flags: given, Key: []byte("k"), Seq: 1, Value: []byte("v")},
			{
				Flags: given, Key: []byte("k"), Seq: 2, Value: []byte("v"),
				Deadline: 1, Replaced: []wire.Dot{{Seq: 1}}, BatchFirst: 2, BatchLen: 1,
			},
		}}}
		_, m, err := parse(t, appendMessage(t, nil, &h, data, false), wire.Limits{})
		require.NoError(t, err)
		require.Zero(t, m.(*wire.Data).Records[0].Flags)
		require.Equal(t, optional, m.(*wire.Data).Records[1].Flags)
	}
}
