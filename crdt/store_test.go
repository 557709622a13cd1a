package crdt_test

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/crdt"
	"github.com/podshare/podshare/transport/transporttest"
)

// healing is more than three heartbeats and the exchange that follows.
const healing = 8 * time.Second

const key = "k"

// fleet is three stores of a type on a network that can be cut.
type fleet[T interface{ Merge(T) T }] struct {
	t       *testing.T
	net     *transporttest.Network
	a, b, c *podshare.Store[T]
}

// onStores runs a test in a bubble, once with each codec.
func onStores[T interface{ Merge(T) T }](t *testing.T, test func(f *fleet[T])) {
	for name, codec := range map[string]podshare.Codec{"json": podshare.JSONCodec{}, "msgpack": podshare.MsgpackCodec{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fleet[T]{t: t, net: transporttest.NewNetwork(1)}
				defer f.net.Close()
				for name, s := range map[string]**podshare.Store[T]{"a": &f.a, "b": &f.b, "c": &f.c} {
					var err error
					*s, err = podshare.New(t.Context(), "topic", f.net.Pod(name), podshare.WithNodeID[T](name),
						podshare.WithCodec[T](codec), podshare.WithMerger(T.Merge),
						podshare.WithErrorHandler[T](func(err error) {
							if health := (*podshare.HealthError)(nil); !errors.As(err, &health) { // the cuts are meant
								t.Error(err)
							}
						}))
					require.NoError(t, err)
					defer (*s).Close()
				}
				f.settle()
				test(f)
			})
		})
	}
}

// cut separates all three pods.
func (f *fleet[T]) cut() {
	f.net.Cut("a")
	f.net.Cut("b")
}

// heal ends the cut, and waits until all is repaired.
func (f *fleet[T]) heal() {
	f.net.Heal()
	f.settle()
}

func (f *fleet[T]) settle() {
	time.Sleep(2 * healing)
	synctest.Wait()
}

// set writes a value, a while after the last write: so writes are ordered as the test reads.
func (f *fleet[T]) set(s *podshare.Store[T], value T) {
	f.t.Helper()
	time.Sleep(time.Second)
	require.NoError(f.t, s.Set(f.t.Context(), key, value))
}

func (f *fleet[T]) delete(s *podshare.Store[T]) {
	f.t.Helper()
	time.Sleep(time.Second)
	require.NoError(f.t, s.Delete(f.t.Context(), key))
}

// change sets what a store holds, changed.
func (f *fleet[T]) change(s *podshare.Store[T], change func(T) T) {
	f.t.Helper()
	f.set(s, change(held(s)))
}

// want checks what all stores hold, in a form that is easy to compare.
func want[T interface{ Merge(T) T }, V any](f *fleet[T], value V, of func(T) V) {
	f.t.Helper()
	for _, s := range []*podshare.Store[T]{f.a, f.b, f.c} {
		require.Equal(f.t, value, of(held(s)), s.NodeID())
	}
}

func held[T any](s *podshare.Store[T]) T {
	v, _ := s.Get(key)
	return v
}

// Adds on both sides of a partition are all counted. After a Delete the counter starts from zero.
func TestGCounterOnStores(t *testing.T) {
	onStores(t, func(f *fleet[crdt.GCounter]) {
		for range 2 {
			f.cut()
			for i, s := range []*podshare.Store[crdt.GCounter]{f.a, f.b, f.c} {
				for range 3 {
					f.change(s, func(c crdt.GCounter) crdt.GCounter { return c.Add(s.NodeID(), uint64(i+1)) })
				}
			}
			f.heal()
			want(f, 3*(1+2+3), crdt.GCounter.Value)
			f.delete(f.b)
			f.settle()
			want(f, 0, crdt.GCounter.Value)
		}
	})
}

// A pod that adds after a Delete that it has not seen brings back all that it knew, and with only its own total that.
//
//	a: ── 10 ─┬─ (cut off) ─────────── 11 ─┬── brings back its total, and what else it sets
//	b: ── 5 ──┴─ (cut off) delete, 1 ──────┴──
func TestGCounterBesideADelete(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(held crdt.GCounter) crdt.GCounter
		want uint64
	}{
		"the whole":  {func(held crdt.GCounter) crdt.GCounter { return held.Add("a", 1) }, 11 + 5},
		"the change": {func(crdt.GCounter) crdt.GCounter { return crdt.GCounter{}.Add("a", 11) }, 11 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			onStores(t, func(f *fleet[crdt.GCounter]) {
				f.set(f.a, crdt.GCounter{}.Add("a", 10))
				f.set(f.b, crdt.GCounter{}.Add("b", 5))
				f.settle()
				f.cut()
				f.delete(f.b)
				f.change(f.b, func(c crdt.GCounter) crdt.GCounter { return c.Add("b", 1) })
				require.Equal(t, uint64(1), held(f.b).Value(), "counts from zero")
				f.change(f.a, tc.set)
				f.heal()
				want(f, tc.want, crdt.GCounter.Value)
			})
		})
	}
}

func TestPNCounterOnStores(t *testing.T) {
	onStores(t, func(f *fleet[crdt.PNCounter]) {
		for range 2 {
			f.cut()
			for _, s := range []*podshare.Store[crdt.PNCounter]{f.a, f.b, f.c} {
				f.change(s, func(c crdt.PNCounter) crdt.PNCounter { return c.Add(s.NodeID(), 5) })
				f.change(s, func(c crdt.PNCounter) crdt.PNCounter { return c.Add(s.NodeID(), -7) })
			}
			f.heal()
			want(f, -6, crdt.PNCounter.Value)
			f.delete(f.a)
			f.settle()
			want(f, 0, crdt.PNCounter.Value)
		}
	})
}

// Pods set new elements only. A Delete removes what was added before it, and what a cut-off pod's run adds after it brings
// back what that run had added before.
func TestGSetOnStores(t *testing.T) {
	elements := func(s crdt.GSet[string]) []string { return slices.Collect(s.All()) }
	onStores(t, func(f *fleet[crdt.GSet[string]]) {
		f.cut()
		f.set(f.a, crdt.NewGSet("x", "a"))
		f.set(f.b, crdt.NewGSet("x", "b"))
		f.set(f.c, crdt.NewGSet("c"))
		f.heal()
		want(f, []string{"a", "b", "c", "x"}, elements)
		f.cut()
		f.delete(f.a)
		f.set(f.a, crdt.NewGSet("a2"))
		f.set(f.b, crdt.NewGSet("b2"))
		f.heal()
		want(f, []string{"a2", "b", "b2", "x"}, elements)
	})
}

// An add wins over a remove on the other side of a partition, whether the whole or the change is set.
//
//	a: ─ add x, y, z ─┬─ (cut off) remove x, y ─┬── x is back, y and z are gone
//	b: ───────────────┼─ (cut off) add x again ─┤
//	c: ───────────────┴─ (cut off) remove z ────┴──
func TestORSetOnStores(t *testing.T) {
	type set = crdt.ORSet[string]
	elements := func(s set) []string { return slices.Collect(s.All()) }
	for name, way := range map[string]struct {
		add    func(s set, r *crdt.Replica, e ...string) set
		remove func(s set, e ...string) set
		beside []string // what there is after a write beside a Delete
	}{
		"the whole": {set.Add, set.Remove, []string{"a0", "a1", "b1", "b2", "x"}},
		"the change": {
			func(_ set, r *crdt.Replica, e ...string) set { return set{}.Add(r, e...) },
			set.Removal,
			[]string{"a1", "b1", "b2", "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onStores(t, func(f *fleet[set]) {
				ra, rb := crdt.NewReplica("a"), crdt.NewReplica("b")
				f.change(f.a, func(s set) set { return way.add(s, ra, "x", "y", "z") })
				f.settle()
				f.cut()
				f.change(f.a, func(s set) set { return way.remove(s, "x", "y") })
				f.change(f.b, func(s set) set { return way.add(s, rb, "x") })
				f.change(f.c, func(s set) set { return way.remove(s, "z") })
				require.Equal(t, []string{"z"}, elements(held(f.a)))
				f.heal()
				want(f, []string{"x"}, elements)

				f.change(f.c, func(s set) set { return way.remove(s, "x") })
				f.settle()
				want(f, nil, elements)
				f.change(f.a, func(s set) set { return way.add(s, ra, "a0") })
				f.settle()
				f.change(f.b, func(s set) set { return way.add(s, rb, "b1", "x") })
				f.settle()

				f.cut()
				f.delete(f.a)
				f.change(f.a, func(s set) set { return way.add(s, ra, "a1") })
				f.change(f.b, func(s set) set { return way.add(s, rb, "b2") }) // has not seen the Delete
				f.heal()
				want(f, way.beside, elements)
				f.change(f.c, func(s set) set { return way.remove(s, way.beside...) })
				f.settle()
				want(f, nil, elements)
			})
		})
	}
}

// Goroutines of a pod that add with Update all count, while other pods add as well.
func TestGCounterTakesUpdatesOfSeveralGoroutines(t *testing.T) {
	onStores(t, func(f *fleet[crdt.GCounter]) {
		var wg sync.WaitGroup
		for _, s := range []*podshare.Store[crdt.GCounter]{f.a, f.a, f.b, f.b} {
			wg.Go(func() {
				for range 25 {
					err := s.Update(f.t.Context(), key, func(c crdt.GCounter, _ bool) (crdt.GCounter, bool) {
						return c.Add(s.NodeID(), 1), true
					})
					if err != nil {
						f.t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		f.settle()
		want(f, 100, crdt.GCounter.Value)
	})
}

// Adds of one pod that started from the same value do not overwrite each other.
func TestORSetTakesChangesOfSeveralGoroutines(t *testing.T) {
	onStores(t, func(f *fleet[crdt.ORSet[string]]) {
		r := crdt.NewReplica("a")
		before := held(f.a)
		f.set(f.a, before.Add(r, "x"))
		f.set(f.a, before.Add(r, "y"))
		f.settle()
		want(f, 2, crdt.ORSet[string].Len)
	})
}

func TestLWWMapOnStores(t *testing.T) {
	type fields = crdt.LWWMap[string, int]
	at := func(node string) crdt.Stamp { return crdt.NewStamp(time.Now(), node) }
	contents := func(m fields) map[string]int { return maps.Collect(m.All()) }
	onStores(t, func(f *fleet[fields]) {
		f.set(f.a, fields{}.Set("x", 1, at("a")).Set("y", 1, at("a")).Set("z", 1, at("a")))
		f.settle()
		f.cut()
		f.change(f.a, func(m fields) fields { return m.Set("x", 2, at("a")) })
		f.change(f.b, func(m fields) fields { return m.Set("x", 3, at("b")).Remove("y", at("b")) })
		f.change(f.c, func(m fields) fields { return m.Set("z", 4, at("c")) })
		f.heal()
		want(f, map[string]int{"x": 3, "z": 4}, contents)

		f.cut()
		f.delete(f.a)
		f.set(f.a, fields{}.Set("n", 5, at("a")))
		f.change(f.c, func(m fields) fields { return m.Remove("z", at("c")) }) // has not seen the Delete
		f.heal()
		want(f, map[string]int{"n": 5, "x": 3}, contents)
	})
}

func TestMaxAndMinOnStores(t *testing.T) {
	onStores(t, func(f *fleet[crdt.Max[int]]) {
		f.cut()
		f.set(f.a, crdt.NewMax(7))
		f.set(f.b, crdt.NewMax(-3))
		f.set(f.a, crdt.NewMax(5))
		f.heal()
		want(f, "7", crdt.Max[int].String)
		f.delete(f.c)
		f.set(f.b, crdt.NewMax(4))
		f.settle()
		want(f, "4", crdt.Max[int].String)
	})
	onStores(t, func(f *fleet[crdt.Min[float64]]) {
		f.cut()
		f.set(f.a, crdt.NewMin(1.5))
		f.set(f.b, crdt.NewMin(0.25))
		f.heal()
		want(f, "0.25", crdt.Min[float64].String)
		f.delete(f.c)
		f.settle()
		want(f, "none", crdt.Min[float64].String)
	})
}
