package crdt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestMaxLaws(t *testing.T) {
	t.Run("floats", lattice[crdt.Max[float64]]{change: func(t *rapid.T, _ int, x crdt.Max[float64]) crdt.Max[float64] {
		return x.Add(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN()})).Draw(t, "n"))
	}}.check)
	t.Run("numbers", lattice[crdt.Max[int32]]{change: func(t *rapid.T, _ int, x crdt.Max[int32]) crdt.Max[int32] {
		return x.Add(rapid.Int32().Draw(t, "n"))
	}}.check)
	t.Run("text", lattice[crdt.Max[string]]{change: func(t *rapid.T, _ int, x crdt.Max[string]) crdt.Max[string] {
		return x.Add(words.Draw(t, "text"))
	}}.check)
}

func TestMax(t *testing.T) {
	var none crdt.Max[int]
	_, ok := none.Get()
	require.False(t, ok)
	require.Equal(t, "none", none.String())
	n, ok := none.Add(-5).Add(-7).Get()
	require.True(t, ok)
	require.Equal(t, -5, n, "none is below every value")
	require.Equal(t, crdt.Max[float64]{}, crdt.NewMax(math.NaN()))
}

func TestMaxEncoding(t *testing.T) {
	require.Equal(t, "7", written(t, crdt.NewMax(7)))
	require.Equal(t, "null", written(t, crdt.Max[int]{}))
	require.Equal(t, "0", written(t, crdt.NewMax(math.Copysign(0, -1))))
	require.Len(t, encoded(t, crdt.NewMax[int64](7)), 1)
	for _, m := range []crdt.Max[float64]{crdt.NewMax(math.Inf(1)), crdt.NewMax(math.Inf(-1))} {
		_, err := m.MarshalJSON()
		require.Error(t, err)
		var got crdt.Max[float64]
		require.NoError(t, codecs["msgpack"].unmarshal(encoded(t, m), &got))
		require.Equal(t, m, got)
	}
	refused[crdt.Max[float64]](t, []string{`NaN`, `"1"`, `[]`}, []any{math.NaN(), "1", []any{}})
	refused[crdt.Max[int8]](t, []string{`128`, `1.5`}, []any{128, 1.5})
	refused[crdt.Max[float32]](t, []string{`1e99`}, []any{1e99})
	_, err := crdt.NewMax("\xff").MarshalJSON()
	require.Error(t, err)
}

// How do pods agree on the largest value that any of them saw?
func ExampleMax() {
	fmt.Println(crdt.NewMax(3).Merge(crdt.NewMax(7)).Add(5))
	// Output: 7
}

func BenchmarkMaxMerge(b *testing.B) {
	x, y := crdt.NewMax(1), crdt.NewMax(2)
	b.ReportAllocs()
	for b.Loop() {
		_ = x.Merge(y)
	}
}
