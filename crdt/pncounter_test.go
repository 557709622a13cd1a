package crdt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestPNCounterLaws(t *testing.T) {
	lattice[crdt.PNCounter]{change: func(t *rapid.T, replica int, x crdt.PNCounter) crdt.PNCounter {
		return x.Add(nodes[replica], rapid.Int64Range(math.MinInt64/64, math.MaxInt64/64).Draw(t, "n"))
	}}.check(t)
}

// The value is the sum of all adds of all replicas, once merged in any order.
func TestPNCounterCountsEveryAddOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s [3]crdt.PNCounter
		sum := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			i, j := rapid.IntRange(0, 2).Draw(t, "replica"), rapid.IntRange(0, 2).Draw(t, "from")
			n := rapid.Int64Range(-1000, 1000).Draw(t, "n")
			s[i] = s[i].Merge(s[j]).Add(nodes[i], n)
			sum += n
		}
		require.Equal(t, sum, s[2].Merge(s[0]).Merge(s[1]).Value())
	})
}

func TestPNCounterStopsAtTheEnds(t *testing.T) {
	low := crdt.PNCounter{}.Add("a", math.MinInt64)
	require.Equal(t, int64(math.MinInt64), low.Value())
	require.Equal(t, int64(math.MinInt64), low.Add("b", -5).Value())
	require.Equal(t, int64(-5), low.Add("b", -5).Of("b"))
	require.Equal(t, int64(-1), low.Add("b", math.MaxInt64).Value())
	high := crdt.PNCounter{}.Add("a", math.MaxInt64)
	require.Equal(t, int64(math.MaxInt64), high.Value())
	require.Equal(t, int64(math.MaxInt64), high.Add("a", 5).Value())
}

func TestPNCounterEncoding(t *testing.T) {
	require.Equal(t, `{"up":{"a":3},"down":{"b":1}}`, written(t, crdt.PNCounter{}.Add("b", -1).Add("a", 3)))
	require.Equal(t, `{"up":{},"down":{}}`, written(t, crdt.PNCounter{}))
	refused[crdt.PNCounter](t, []string{`{"up":{"a":-1}}`, `{"down":{"a":-1}}`, `{"up":1}`, `[]`},
		[]any{[]any{}, []any{[]any{"a", -1}, nil}, []any{nil, []any{"a", -1}}, 1})
}

// How do pods count up and down together?
func ExamplePNCounter() {
	a := crdt.PNCounter{}.Add("pod-a", 5)
	b := a.Add("pod-b", -2) // pod-b has seen a
	a = a.Add("pod-a", -1)  // and pod-a has not seen b
	fmt.Println(a.Merge(b).Value())
	// Output: 2
}

func BenchmarkPNCounterMerge(b *testing.B) {
	benchmarkMerge(b, func(n int) (x, y crdt.PNCounter) {
		for i := range n {
			here, there := fmt.Sprint("pod ", i), fmt.Sprint("pod ", i+n/2)
			x, y = x.Add(here, 1).Add(here, -1), y.Add(there, 2).Add(there, -2)
		}
		return x, y
	})
}
