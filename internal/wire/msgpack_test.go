package wire_test

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/podshare/podshare/internal/wire"
)

// compressed is the extension of type 1 as a general msgpack library shows it.
type compressed struct{ block []byte }

// generic reads a frame with a msgpack library that knows nothing of podshare.
func generic(t *testing.T, frame []byte) []any {
	t.Helper()
	msgpack.RegisterExtDecoder(1, compressed{}, func(d *msgpack.Decoder, v reflect.Value, length int) error {
		block := make([]byte, length)
		err := d.ReadFull(block)
		v.Set(reflect.ValueOf(compressed{block}))
		return err
	})
	t.Cleanup(func() { msgpack.UnregisterExt(1) })

	r := bytes.NewReader(frame)
	d := msgpack.NewDecoder(r)
	v, err := d.DecodeInterfaceLoose() // all numbers as uint64 or int64
	require.NoError(t, err)
	_, err = d.DecodeInterface()
	require.ErrorIs(t, err, io.EOF, "one value and nothing behind it")
	return v.([]any)
}

func TestEveryFrameIsOneMsgpackValue(t *testing.T) {
	h := header()
	for _, s := range samples() {
		v := generic(t, appendMessage(t, nil, &h, s.msg, false))
		require.Len(t, v, 4, s.name)
		require.Equal(t, "ps", v[0])
		require.EqualValues(t, wire.Version, v[1])
		body := v[2].([]any)
		require.EqualValues(t, s.kind, body[0])
		require.Equal(t, "pod-1", body[1])
		require.EqualValues(t, h.Boot, body[2])
		require.EqualValues(t, h.Clock, body[3])
		require.EqualValues(t, h.Head, body[4])
		require.Equal(t, "json", body[5])
	}

	v := generic(t, appendMessage(t, nil, &h, &wire.Data{RecordList: wire.RecordList{
		Records: []wire.Record{{Key: []byte("k"), Seq: 1, Value: make([]byte, 5000)}},
	}}, true))
	body, err := unsnappy(v[2].(compressed).block)
	require.NoError(t, err)
	require.EqualValues(t, wire.KindData, body[1])
}

// array is an array of a hand-made body; its numbers are written as the library likes them.
type array = []any

// handmade returns a frame of a kind whose fields come from a general msgpack library.
func handmade(t *testing.T, compact bool, kind wire.Kind, fields ...any) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.UseCompactInts(compact)
	body := slices.Concat(array{uint64(kind), "pod-9", uint64(7), uint64(stamp), 3, "json"}, fields)
	require.NoError(t, e.Encode(array{"ps", int8(0), body, uint32(0)}))
	// The library writes every number with a sign or in full; the version is a fixint in any case.
	frame := buf.Bytes()
	at := bytes.IndexByte(frame, 's') + 1
	end := at + 1
	if frame[at] != 0 {
		end++
	}
	frame = slices.Replace(frame, at, end, wire.Version)
	if compact { // the place of the checksum took one byte
		frame = append(frame, 0, 0, 0, 0)
	}
	return seal(frame)
}

// to is an ID as an array.
func idArray(id wire.ID) array { return array{id.Boot, id.Node} }

func TestNumbersMayBeWrittenAsALibraryLikesThem(t *testing.T) {
	to := wire.ID{Boot: 1, Node: 2}
	for _, compact := range []bool{false, true} {
		frame := handmade(t, compact, wire.KindWant, idArray(to), 5, int16(1), int64(1)<<40,
			array{array{3, uint64(4), 300, uint8(200), 302, 400}}, int32(70_000))
		h, m, err := parse(t, frame, wire.Limits{})
		require.NoError(t, err, "%x", frame)
		require.Equal(t, wire.ID{Boot: 7, Node: wire.HashNode("pod-9")}, h.ID())
		requireSame(t, &wire.Want{
			To: to, Series: 5, Full: true, MaxFrame: 1 << 40, Rest: 70_000,
			Vector: []wire.VectorEntry{
				{ID: wire.ID{Boot: 3, Node: 4}, Head: 300, Mark: 200, Spans: []wire.Span{{First: 302, Last: 400}}},
			},
		}, m)
	}
}
