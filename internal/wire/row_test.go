package wire_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/podshare/podshare/internal/wire"
)

func rowParts() []wire.RowPart {
	return []wire.RowPart{
		{ID: wire.ID{Boot: 1 << 60, Node: 7}, Seq: 3},
		{ID: wire.ID{Boot: 5, Node: 1<<63 + 1}, Seq: wire.MaxSeq, State: wire.FlagLapsed},
		{ID: wire.ID{Boot: 6, Node: 9}, Seq: 300, State: wire.FlagDelete},
	}
}

func vectorRow() wire.VectorEntry {
	return wire.VectorEntry{
		ID: wire.ID{Boot: 1 << 40, Node: 1 << 50}, Head: 400, Mark: 17,
		Spans: []wire.Span{{First: 402, Last: 402}, {First: 500, Last: 70_000}},
	}
}

// heads are one head of each kind with the name of its row and what parses it.
func heads() map[string]struct {
	name, head []byte
	parse      func(name, head []byte) (any, error)
	want       any
} {
	parts, entry := rowParts(), vectorRow()
	table := wire.TableHead{Version: wire.Version, Table: 1 << 63, Floor: 1 << 60, Codec: []byte("json")}
	return map[string]struct {
		name, head []byte
		parse      func(name, head []byte) (any, error)
		want       any
	}{
		"key": {
			[]byte("key"), wire.AppendRowHead(nil, []byte("key"), parts),
			func(name, head []byte) (any, error) { return wire.ParseRowHead(nil, name, head) }, parts,
		},
		"origin": {
			wire.VectorRowName(entry.ID), wire.AppendVectorHead(nil, &entry),
			func(name, head []byte) (any, error) { return wire.ParseVectorHead(name, head) }, entry,
		},
		"table": {
			nil, wire.AppendTableHead(nil, &table),
			func(_, head []byte) (any, error) { return wire.ParseTableHead(head) }, table,
		},
	}
}

func TestHeadsOfRowsSurviveTheRoundTrip(t *testing.T) {
	for kind, h := range heads() {
		t.Run(kind, func(t *testing.T) {
			got, err := h.parse(h.name, h.head)
			require.NoError(t, err)
			require.Equal(t, h.want, got)
			var value []any
			require.NoError(t, msgpack.Unmarshal(h.head, &value), "a head is one msgpack value")
		})
	}
}

// A head is refused whole if a bit of it is wrong or missing, or if it stands under another name.
func TestDamagedHeadsOfRowsAreRefused(t *testing.T) {
	for kind, h := range heads() {
		t.Run(kind, func(t *testing.T) {
			for i := range h.head {
				_, err := h.parse(h.name, h.head[:i])
				require.Error(t, err, "cut at %d", i)
				for bit := range 8 {
					damaged := append([]byte(nil), h.head...)
					damaged[i] ^= 1 << bit
					_, err := h.parse(h.name, damaged)
					require.Error(t, err, "bit %d of byte %d", bit, i)
				}
			}
			_, err := h.parse(h.name, append(slices.Clip(h.head), 0))
			require.Error(t, err)
			if kind != "table" {
				other := append([]byte(nil), h.name...)
				other[0] ^= 1
				_, err = h.parse(other, h.head)
				require.ErrorIs(t, err, wire.ErrCorrupt)
			}
		})
	}
}

func TestHeadsOfRowsMustMakeSense(t *testing.T) {
	key := []byte("key")
	for name, parts := range map[string][]wire.RowPart{
		"no write":       nil,
		"seq 0":          {{}},
		"seq too large":  {{Seq: wire.MaxSeq + 1}},
		"dead two times": {{Seq: 1, State: wire.FlagDelete | wire.FlagExpired}},
	} {
		_, err := wire.ParseRowHead(nil, key, wire.AppendRowHead(nil, key, parts))
		require.Error(t, err, name)
	}
	e := vectorRow()
	e.Spans[0].First = e.Head + 1
	_, err := wire.ParseVectorHead(wire.VectorRowName(e.ID), wire.AppendVectorHead(nil, &e))
	require.Error(t, err)
}
