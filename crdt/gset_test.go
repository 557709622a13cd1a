package crdt_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestGSetLaws(t *testing.T) {
	t.Run("text", lattice[crdt.GSet[string]]{change: func(t *rapid.T, _ int, x crdt.GSet[string]) crdt.GSet[string] {
		return x.Add(words.Draw(t, "element"))
	}}.check)
	type small int8
	t.Run("small numbers", lattice[crdt.GSet[small]]{change: func(t *rapid.T, _ int, x crdt.GSet[small]) crdt.GSet[small] {
		return x.Add(small(rapid.Int8().Draw(t, "element")))
	}}.check)
	t.Run("large numbers", lattice[crdt.GSet[uint64]]{change: func(t *rapid.T, _ int, x crdt.GSet[uint64]) crdt.GSet[uint64] {
		return x.Add(rapid.Uint64().Draw(t, "element"))
	}}.check)
	t.Run("bytes", lattice[crdt.GSet[byte]]{change: func(t *rapid.T, _ int, x crdt.GSet[byte]) crdt.GSet[byte] {
		return x.Add(rapid.Byte().Draw(t, "element"))
	}}.check)
}

// top3 is a GSet whose Merger keeps the three largest.
type top3 struct{ crdt.GSet[int] }

func (s top3) Merge(o top3) top3 { return top3{s.GSet.Merge(o.GSet).Top(3)} }

// The n largest of a union are a join.
func TestGSetTopLaws(t *testing.T) {
	lattice[top3]{change: func(t *rapid.T, _ int, x top3) top3 {
		return x.Merge(top3{crdt.NewGSet(rapid.IntRange(-10, 10).Draw(t, "element"))})
	}}.check(t)
}

func TestGSetTop(t *testing.T) {
	s := crdt.NewGSet(5, 1, 3)
	require.Equal(t, crdt.NewGSet(3, 5), s.Top(2))
	require.Equal(t, s, s.Top(3))
	require.Equal(t, crdt.GSet[int]{}, s.Top(0))
	require.Equal(t, crdt.GSet[int]{}, s.Top(-1))
	require.Equal(t, crdt.GSet[int]{}, crdt.NewGSet[int]().Top(1))
}

func TestGSetHoldsWhatWasAdded(t *testing.T) {
	given := []string{"b", "a", "b"}
	s := crdt.NewGSet(given...)
	require.Equal(t, []string{"b", "a", "b"}, given, "the caller's slice is left alone")
	require.Equal(t, []string{"a", "b"}, slices.Collect(s.All()))
	require.Equal(t, 2, s.Len())
	require.True(t, s.Contains("a"))
	require.False(t, s.Contains("c"))
	require.True(t, s.Add("c").Contains("c"))
	require.False(t, s.Contains("c"), "s itself did not change")
}

func TestGSetEncoding(t *testing.T) {
	require.Equal(t, `["a","b"]`, written(t, crdt.NewGSet("b", "a")))
	require.Equal(t, `[]`, written(t, crdt.NewGSet[string]()))
	var s crdt.GSet[int]
	require.NoError(t, s.UnmarshalJSON([]byte(`[3,1,3]`)))
	require.Equal(t, crdt.NewGSet(1, 3), s, "what is out of order is put into order")
	require.Len(t, encoded(t, crdt.NewGSet[int64](1, 2, 3)), 4)
	refused[crdt.GSet[int8]](t, []string{`[128]`, `["a"]`, `{}`, `1`}, []any{[]any{128}, []any{-129}, []any{"a"}, []any{nil}, 1})
	refused[crdt.GSet[uint8]](t, []string{`[-1]`}, []any{[]any{-1}, []any{256}, []any{1.0}})
	refused[crdt.GSet[int64]](t, nil, []any{[]any{uint64(math.MaxUint64)}})
	_, err := crdt.NewGSet("\xff").MarshalJSON()
	require.Error(t, err)
}

// How do pods gather elements of a set?
func ExampleGSet() {
	a, b := crdt.NewGSet("ann", "bob"), crdt.NewGSet("bob", "eve")
	for name := range a.Merge(b).All() {
		fmt.Println(name)
	}
	// Output:
	// ann
	// bob
	// eve
}

// How does a set stay small that only grows?
func ExampleGSet_Top() {
	merge := func(a, b crdt.GSet[int]) crdt.GSet[int] { return a.Merge(b).Top(3) }
	fmt.Println(slices.Collect(merge(crdt.NewGSet(2024, 2026), crdt.NewGSet(2023, 2025)).All()))
	// Output: [2024 2025 2026]
}

func BenchmarkGSetMerge(b *testing.B) {
	benchmarkMerge(b, func(n int) (x, y crdt.GSet[string]) {
		for i := range n {
			x, y = x.Add(fmt.Sprint("element ", i)), y.Add(fmt.Sprint("element ", i+n/2))
		}
		return x, y
	})
}
