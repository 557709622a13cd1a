package crdt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestGCounterLaws(t *testing.T) {
	lattice[crdt.GCounter]{change: func(t *rapid.T, replica int, x crdt.GCounter) crdt.GCounter {
		return x.Add(nodes[replica], rapid.Uint64Range(0, math.MaxUint64/64).Draw(t, "n"))
	}}.check(t)
}

// The value is the sum of all adds of all replicas, once merged in any order.
func TestGCounterCountsEveryAddOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s [3]crdt.GCounter
		sum := uint64(0)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			i, j := rapid.IntRange(0, 2).Draw(t, "replica"), rapid.IntRange(0, 2).Draw(t, "from")
			n := rapid.Uint64Range(0, 1000).Draw(t, "n")
			s[i] = s[i].Merge(s[j]).Add(nodes[i], n)
			sum += n
		}
		require.Equal(t, sum, s[2].Merge(s[0]).Merge(s[1]).Value())
	})
}

func TestGCounterStopsAtTheEnd(t *testing.T) {
	c := crdt.GCounter{}.Add("a", math.MaxUint64).Add("a", 1)
	require.Equal(t, uint64(math.MaxUint64), c.Of("a"))
	require.Equal(t, uint64(math.MaxUint64), c.Add("b", 1).Value())
	require.Zero(t, c.Of("b"))
}

func TestGCounterEncoding(t *testing.T) {
	require.Equal(t, `{"a":1,"b":18446744073709551615}`, written(t, crdt.GCounter{}.Add("b", math.MaxUint64).Add("a", 1)))
	require.Equal(t, `{}`, written(t, crdt.GCounter{}))
	refused[crdt.GCounter](t, []string{`{"a":-1}`, `{"a":1.5}`, `{"a":1e99}`, `{"a":18446744073709551616}`, `{"a":"x"}`, `[1]`, `7`},
		[]any{[]any{"a", -1}, []any{"a", 1.5}, []any{"a", nil}, []any{"a"}, []any{1, 2}, map[string]int{"a": 1}, "a"})
	_, err := crdt.GCounter{}.Add("\xff", 1).MarshalJSON()
	require.Error(t, err, "two such names would become one")
}

// How do pods count together?
func ExampleGCounter() {
	a := crdt.GCounter{}.Add("pod-a", 2)
	b := crdt.GCounter{}.Add("pod-b", 3)
	both := a.Merge(b).Merge(a) // whatever comes twice counts once
	fmt.Println(both.Value(), both.Of("pod-a"))
	// Output: 5 2
}

func BenchmarkGCounterMerge(b *testing.B) {
	benchmarkMerge(b, func(n int) (x, y crdt.GCounter) {
		for i := range n {
			x, y = x.Add(fmt.Sprint("pod ", i), 1), y.Add(fmt.Sprint("pod ", i+n/2), 2)
		}
		return x, y
	})
}

// benchmarkMerge merges two states of a size that overlap by half.
func benchmarkMerge[T interface{ Merge(T) T }](b *testing.B, states func(n int) (x, y T)) {
	b.Helper()
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			x, y := states(n)
			b.ReportAllocs()
			for b.Loop() {
				_ = x.Merge(y)
			}
		})
	}
}
