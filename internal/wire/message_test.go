package wire_test

import (
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// requireSame compares two messages by their exported fields. Empty and nil lists are the same; an empty and
// a nil value of a record are not.
func requireSame(t testing.TB, want, got message) {
	t.Helper()
	require.Equal(t, exported(reflect.ValueOf(want).Elem()), exported(reflect.ValueOf(got).Elem()))
}

// exported returns a value as maps and slices, without unexported fields.
func exported(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fields[f.Name] = exported(v.Field(i))
			}
		}
		return fields
	case reflect.Slice:
		if b, ok := reflect.TypeAssert[[]byte](v); ok {
			return b
		}
		list := []any{}
		for i := range v.Len() {
			list = append(list, exported(v.Index(i)))
		}
		return list
	default:
		return v.Interface()
	}
}

func TestEveryMessageSurvivesTheRoundTrip(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			h := header()
			h.Kind = wire.KindData // Append must not take it from here
			frame := appendMessage(t, nil, &h, s.msg, false)

			got, m, err := parse(t, frame, wire.Limits{})
			require.NoError(t, err)
			h.Kind = s.kind
			require.Equal(t, h, got)
			requireSame(t, s.msg, m)
		})
	}
}

func TestAMessageIsReusedWithoutATraceOfItsPast(t *testing.T) {
	h := header()
	for _, first := range samples() {
		for _, second := range samples() {
			if first.kind != second.kind {
				continue
			}
			m := newMessage(t, first.kind)
			for _, s := range []sample{first, second, first} {
				_, body, err := wire.Open(appendMessage(t, nil, &h, s.msg, false), wire.Limits{})
				require.NoError(t, err)
				require.NoError(t, m.Parse(body))
				requireSame(t, s.msg, m)
			}
		}
	}
}

func TestReuseLetsGoOfTheOldFrame(t *testing.T) {
	var (
		h    = header()
		data wire.Data
	)
	_, full, err := wire.Open(appendMessage(t, nil, &h, samples()[0].msg, false), wire.Limits{})
	require.NoError(t, err)
	_, empty, err := wire.Open(appendMessage(t, nil, &h, &wire.Data{}, false), wire.Limits{})
	require.NoError(t, err)
	require.NoError(t, data.Parse(full))
	require.NoError(t, data.Parse(empty))
	for _, rec := range data.Records[:cap(data.Records)] {
		require.Zero(t, rec)
	}
	for _, o := range data.Origins[:cap(data.Origins)] {
		require.Zero(t, o)
	}
}

func TestASliceOfAMessageCannotGrowIntoItsNeighbour(t *testing.T) {
	h := header()
	for _, s := range samples() {
		_, m, err := parse(t, appendMessage(t, nil, &h, s.msg, false), wire.Limits{})
		require.NoError(t, err)
		if data, ok := m.(*wire.Data); ok {
			for i := range data.Records {
				rec := &data.Records[i]
				_ = append(rec.Key, 'x')
				_ = append(rec.Value, 'x')
				_ = append(rec.Replaced, wire.Dot{})
			}
		}
		if want, ok := m.(*wire.Want); ok {
			for i := range want.Vector {
				_ = append(want.Vector[i].Spans, wire.Span{})
			}
		}
		requireSame(t, s.msg, m)
	}
}

func TestAClockOffTheScaleIsSentAsItsNearestEnd(t *testing.T) {
	for clock, want := range map[int64]int64{
		-1: 0, math.MinInt64: 0, wire.MaxStamp + 1: wire.MaxStamp, math.MaxInt64: wire.MaxStamp,
	} {
		h := header()
		h.Clock = clock
		got, _, err := wire.Open((&wire.Goodbye{}).Append(nil, &h), wire.Limits{})
		require.NoError(t, err)
		require.Equal(t, want, got.Clock)
	}
}

func TestLengthsOfEveryWidthSurvive(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536} {
		long := make([]byte, n)
		h := header()
		h.Node, h.Codec = long, long
		data := &wire.Data{}
		for i := range n {
			data.Records = append(data.Records, wire.Record{Key: []byte("k"), Seq: uint64(i + 1), Value: []byte{}})
		}
		data.Records = append(data.Records, wire.Record{Key: make([]byte, n+1), Seq: 1, Value: long})
		got, m, err := parse(t, appendMessage(t, nil, &h, data, false), wire.Limits{})
		require.NoError(t, err)
		require.Equal(t, long, got.Node)
		require.Equal(t, long, got.Codec)
		require.Len(t, m.(*wire.Data).Records, n+1)
		require.Equal(t, data.Records[n], m.(*wire.Data).Records[n])
	}
}

func TestNumbersOfEveryWidthSurvive(t *testing.T) {
	for shift := range 64 {
		for _, n := range []uint64{1<<shift - 1, 1 << shift} {
			h := header()
			m := &wire.More{Series: n, Next: ^n}
			_, got, err := parse(t, m.Append(nil, &h), wire.Limits{})
			require.NoError(t, err)
			requireSame(t, m, got)
		}
	}
}
