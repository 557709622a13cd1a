package crdt_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

func TestORSetLaws(t *testing.T) {
	rs := replicas()
	t.Run("text", lattice[crdt.ORSet[string]]{change: func(t *rapid.T, i int, x crdt.ORSet[string]) crdt.ORSet[string] {
		switch e := words.Draw(t, "element"); rapid.IntRange(0, 9).Draw(t, "change") {
		case 0:
			return x.Clear()
		case 1, 2:
			return x.Remove(e, words.Draw(t, "another"))
		case 3:
			return x.Merge(x.Removal(e))
		case 4, 5:
			return x.Merge(crdt.ORSet[string]{}.Add(rs[i], e)) // so that an element has several tags
		default:
			return x.Add(rs[i], e)
		}
	}}.check)
	t.Run("numbers", lattice[crdt.ORSet[int]]{change: func(t *rapid.T, i int, x crdt.ORSet[int]) crdt.ORSet[int] {
		e := rapid.IntRange(-3, 3).Draw(t, "element")
		if rapid.Bool().Draw(t, "add") {
			return x.Add(rs[i], e)
		}
		return x.Remove(e)
	}}.check)
}

// plainORSet is the naive twin, with all adds and tombstones for ever: what the optimised set must be equal to.
type plainORSet struct {
	adds    map[int]string // by a number for each add
	removed map[int]bool
}

func (p plainORSet) merge(o plainORSet) plainORSet {
	m := plainORSet{maps.Clone(p.adds), maps.Clone(p.removed)}
	maps.Copy(m.adds, o.adds)
	maps.Copy(m.removed, o.removed)
	return m
}

func (p plainORSet) remove(e string) {
	for n, added := range p.adds {
		if added == e {
			p.removed[n] = true
		}
	}
}

func (p plainORSet) elements() []string {
	var all []string
	for n, e := range p.adds {
		if !p.removed[n] {
			all = append(all, e)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A remove takes away the adds that it has seen and no other, whatever is merged when.
func TestORSetIsASetWithTombstones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := replicas()
		var sets [3]crdt.ORSet[string]
		var twins [3]plainORSet
		for i := range twins {
			twins[i] = plainORSet{map[int]string{}, map[int]bool{}}
		}
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			i, j := rapid.IntRange(0, 2).Draw(t, "replica"), rapid.IntRange(0, 2).Draw(t, "from")
			e := words.Draw(t, "element")
			switch rapid.SampledFrom([]string{"add", "add change", "remove", "remove change", "merge"}).Draw(t, "step") {
			case "add":
				sets[i] = sets[i].Add(rs[i], e)
				twins[i].adds[n] = e
			case "add change":
				sets[i] = sets[i].Merge(crdt.ORSet[string]{}.Add(rs[i], e))
				twins[i].adds[n] = e
			case "remove":
				sets[i] = sets[i].Remove(e)
				twins[i].remove(e)
			case "remove change":
				sets[i] = sets[i].Merge(sets[i].Removal(e))
				twins[i].remove(e)
			case "merge":
				sets[i], twins[i] = sets[i].Merge(sets[j]), twins[i].merge(twins[j])
			}
			require.Equal(t, twins[i].elements(), slices.Collect(sets[i].All()))
		}
		all := sets[2].Merge(sets[0]).Merge(sets[1])
		require.Equal(t, twins[0].merge(twins[1]).merge(twins[2]).elements(), slices.Collect(all.All()))
	})
}

func TestORSetAddWinsOverConcurrentRemove(t *testing.T) {
	a, b := crdt.NewReplica("a"), crdt.NewReplica("b")
	start := crdt.ORSet[string]{}.Add(a, "x")
	removed, added := start.Remove("x"), start.Add(b, "x")
	require.False(t, removed.Contains("x"))
	require.True(t, removed.Merge(added).Contains("x"))
	require.False(t, added.Merge(removed).Remove("x").Merge(start).Contains("x"), "this remove has seen both adds")
	require.True(t, start.Clear().Merge(added).Contains("x"))
}

// Changes of one replica need not be merged in the order in which they were made.
func TestORSetChangesArriveInAnyOrder(t *testing.T) {
	r := crdt.NewReplica("a")
	first, second := crdt.ORSet[string]{}.Add(r, "x"), crdt.ORSet[string]{}.Add(r, "y")
	require.Equal(t, []string{"x", "y"}, slices.Collect(second.Merge(first).All()))
	require.Equal(t, []string{"y"}, slices.Collect(second.Merge(first.Removal("x")).Merge(first).All()))
}

// Elements that come and go leave nothing behind but one span for each replica.
func TestORSetKeepsNoTombstones(t *testing.T) {
	a, b := crdt.NewReplica("a"), crdt.NewReplica("b")
	s := crdt.ORSet[int]{}.Add(a, 1).Add(b, 2).Clear()
	size := len(encoded(t, s))
	for i := range 1000 {
		s = s.Add(a, i).Merge(s.Add(b, -i)).Remove(i, -i)
	}
	require.Zero(t, s.Len())
	require.LessOrEqual(t, len(encoded(t, s)), size+4, "numbers have grown by two bytes each")
}

func TestORSetEncoding(t *testing.T) {
	require.JSONEq(t, `{"elements":[],"history":{}}`, written(t, crdt.ORSet[string]{}))
	var s crdt.ORSet[string]
	const state = `{"elements":[{"element":"milk","tags":{"a":[3],"b":[1,7]}}],"history":{"a":[1,3],"b":[1,4,7,7]}}`
	require.NoError(t, s.UnmarshalJSON([]byte(state)))
	require.Equal(t, state, written(t, s))
	var same crdt.ORSet[string]
	require.NoError(t, same.UnmarshalJSON([]byte(
		`{"history":{"b":[7,7,2,4,1,2],"a":[3,3,1,2],"c":[]},"elements":[{"element":"milk","tags":{"b":[7,1]}},{"element":"milk","tags":{"a":[3]}}]}`)))
	require.Equal(t, s, same, "what is out of order is put into order")

	refused[crdt.ORSet[string]](t, []string{
		`{"history":{"a":[1]}}`,
		`{"history":{"a":[0,1]}}`,
		`{"history":{"a":[2,1]}}`,
		`{"history":{"a":[-1,1]}}`,
		`{"elements":[{"element":"x","tags":{"a":[1]}}]}`,
		`{"elements":[{"element":"x","tags":{}}],"history":{"a":[1,1]}}`,
		`{"elements":[{"element":"x","tags":{"a":[1,1]}}],"history":{"a":[1,1]}}`,
		`{"elements":[{"element":"x","tags":{"a":[1]}},{"element":"y","tags":{"a":[1]}}],"history":{"a":[1,1]}}`,
		`[]`,
	}, []any{
		[]any{},
		[]any{[]any{"a"}, nil},
		[]any{[]any{"a", []any{0, 0}}, nil},
		[]any{[]any{"a", []any{1, -1}}, nil},
		[]any{[]any{"a", []any{2, ^uint64(0)}}, nil},
		[]any{[]any{"a", []any{1, 0}}, []any{[]any{"x"}}},
		[]any{[]any{"a", []any{1, 0}}, []any{[]any{"x", 0}}},
		[]any{[]any{"a", []any{1, 0}}, []any{[]any{"x", 1, 1}}},
		[]any{[]any{"a", []any{1, 0}}, []any{[]any{"x", 0, 2}}},
		[]any{[]any{"a", []any{1, 0}}, []any{[]any{7, 0, 1}}},
	})
	_, err := crdt.ORSet[string]{}.Add(crdt.NewReplica("a"), "\xff").MarshalJSON()
	require.Error(t, err)
}

// A Replica never gives a tag or a stamp twice.
func TestReplicaIsSafeForConcurrentUse(t *testing.T) {
	r := crdt.NewReplica("a")
	var mu sync.Mutex // guards all and stamps
	var all crdt.ORSet[int]
	stamps := map[crdt.Stamp]bool{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				s, at := crdt.ORSet[int]{}.Add(r, 100*g+i), r.Stamp()
				mu.Lock()
				all, stamps[at] = all.Merge(s), true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Equal(t, 400, all.Len())
	require.Len(t, stamps, 400)
}

func TestReplicasOfOneNameDiffer(t *testing.T) {
	require.NotEqual(t, crdt.NewReplica("a").ID(), crdt.NewReplica("a").ID())
	require.NotEqual(t, crdt.NewReplica("").ID(), crdt.NewReplica("").ID())
	require.Regexp(t, `^pod-7\.[a-z2-7]{12}$`, crdt.NewReplica("pod-7").ID())
	require.Regexp(t, `^[a-z2-7]{12}$`, crdt.NewReplica("").ID())
}

// Who wins when one pod adds what another removes?
func ExampleORSet() {
	a, b := crdt.NewReplica("pod-a"), crdt.NewReplica("pod-b")
	cart := crdt.ORSet[string]{}.Add(a, "bread", "milk")

	onA := cart.Remove("bread", "milk")
	onB := cart.Add(b, "milk") // at the same time
	for item := range onA.Merge(onB).All() {
		fmt.Println(item)
	}
	// Output: milk
}

// The removal of many elements, in any order and named twice, is that of each.
func TestORSetRemovalOfMany(t *testing.T) {
	a, b := crdt.NewReplica("a"), crdt.NewReplica("b")
	set := crdt.ORSet[int]{}
	for n := range 100 {
		set = set.Add(a, n).Merge(crdt.ORSet[int]{}.Add(b, n/2))
	}
	var change crdt.ORSet[int]
	for n := 0; n < 100; n += 3 {
		change = change.Merge(set.Removal(n))
	}
	var elements []int
	for n := 99; n >= 0; n -= 3 {
		elements = append(elements, n, n)
	}
	require.Equal(t, change, set.Removal(elements...))
	require.Equal(t, set.Remove(elements...), set.Merge(set.Removal(elements...)))
}

// How is a remove set without setting the whole?
func ExampleORSet_Removal() {
	r := crdt.NewReplica("pod-a")
	cart := crdt.ORSet[string]{}.Add(r, "bread", "milk")
	change := cart.Removal("milk")
	fmt.Println(change.Len(), cart.Merge(change).Contains("milk"))
	// Output: 0 false
}

// Which name should a pod count under?
func ExampleReplica() {
	r := crdt.NewReplica("pod-a") // once, when the program starts
	c := crdt.GCounter{}.Add(r.ID(), 3)
	fmt.Println(c.Of(r.ID()), c.Of("pod-a"))
	// Output: 3 0
}

func BenchmarkORSetMerge(b *testing.B) {
	benchmarkMerge(b, func(n int) (x, y crdt.ORSet[string]) {
		rx, ry := crdt.NewReplica("x"), crdt.NewReplica("y")
		for i := range n {
			x = x.Add(rx, fmt.Sprint("element ", i))
		}
		y = x
		for i := range n / 2 {
			x = x.Add(rx, fmt.Sprint("new x ", i)).Remove(fmt.Sprint("element ", i))
			y = y.Add(ry, fmt.Sprint("new y ", i))
		}
		return x, y
	})
}
