package crdt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestMinLaws(t *testing.T) {
	t.Run("floats", lattice[crdt.Min[float64]]{change: func(t *rapid.T, _ int, x crdt.Min[float64]) crdt.Min[float64] {
		return x.Add(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN()})).Draw(t, "n"))
	}}.check)
	t.Run("numbers", lattice[crdt.Min[uint16]]{change: func(t *rapid.T, _ int, x crdt.Min[uint16]) crdt.Min[uint16] {
		return x.Add(rapid.Uint16().Draw(t, "n"))
	}}.check)
}

func TestMin(t *testing.T) {
	var none crdt.Min[int]
	_, ok := none.Get()
	require.False(t, ok)
	n, ok := none.Add(7).Add(5).Add(6).Get()
	require.True(t, ok)
	require.Equal(t, 5, n, "none is above every value")
	require.Equal(t, "5", written(t, none.Add(5)))
	require.Equal(t, "null", written(t, none))
}

// How do pods agree on the smallest value that any of them saw?
func ExampleMin() {
	fmt.Println(crdt.NewMin(7).Merge(crdt.NewMin(3)).Add(5))
	// Output: 3
}

func BenchmarkMinMerge(b *testing.B) {
	x, y := crdt.NewMin(1), crdt.NewMin(2)
	b.ReportAllocs()
	for b.Loop() {
		_ = x.Merge(y)
	}
}
