package podshare_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
)

// A union converges in every order of arrival, also across deletes.
func TestUnionConvergesInEveryOrderAcrossDeletes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		shared := &tap{Transport: net.Pod("a")}
		other := &tap{Transport: net.Pod("b")}
		a, b := openUnion(t, shared, "a"), openUnion(t, other, "b")
		set := func(s *podshare.Store[[]string], v string) {
			require.NoError(t, s.Set(t.Context(), "k", []string{v}))
			pass(time.Millisecond)
		}
		set(a, "a1")
		set(b, "b1")
		pass(healing)
		requireHolds(t, a, "k", []string{"a1", "b1"})
		net.Cut("b")
		require.NoError(t, a.Delete(t.Context(), "k"))
		pass(time.Millisecond)
		set(b, "b2") // has not seen the delete, and is ordered after it
		set(a, "a2")
		net.Heal()
		pass(healing)
		want := []string{"a2", "b1", "b2"}
		requireHolds(t, a, "k", want)
		requireHolds(t, b, "k", want)

		frames := append(shared.sent(t, wire.KindData), other.sent(t, wire.KindData)...)
		require.Len(t, frames, 5)
		permute(frames, func(order [][]byte) {
			memory := newMemory(t)
			s := openUnion(t, memory, "c")
			for _, frame := range order {
				publish(t, memory, frame)
			}
			synctest.Wait()
			requireHolds(t, s, "k", want)
			require.NoError(t, s.Close())
		})
	})
}

// Unions on both sides of a partition are joined, and none of it is lost.
func TestUnionsOfAPartitionAreJoined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b, c := openUnion(t, net.Pod("a"), "a"), openUnion(t, net.Pod("b"), "b"), openUnion(t, net.Pod("c"), "c")
		pass(threeHeartbeats)
		net.Cut("a")
		net.Cut("b")
		var want []string
		for i, s := range []*podshare.Store[[]string]{a, b, c} {
			for j := range 3 {
				v := fmt.Sprint(i, " ", j)
				want = append(want, v)
				require.NoError(t, s.Set(t.Context(), "k", []string{v}))
			}
		}
		pass(time.Minute)
		net.Heal()
		pass(2 * healing)
		for _, s := range []*podshare.Store[[]string]{a, b, c} {
			requireHolds(t, s, "k", want)
		}
	})
}

// peak is a struct without pointers, which a store without a Merger keeps decoded only.
type peak struct{ N int }

// Parts of other pods are joined whatever type they have, however they come.
func TestStructsWithoutPointersAreJoined(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		net := newNetwork(t, 1)
		merger := podshare.WithMerger(func(a, b peak) peak { return peak{max(a.N, b.N)} })
		a := openOf(t, net.Pod("a"), "a", merger, podshare.WithErrorHandler[peak](log.add))
		b := openOf(t, net.Pod("b"), "b", merger, podshare.WithErrorHandler[peak](log.add))
		require.NoError(t, a.Set(t.Context(), "k", peak{7}))
		require.NoError(t, b.Set(t.Context(), "k", peak{5}))
		synctest.Wait()
		requireHolds(t, a, "k", peak{7})
		requireHolds(t, b, "k", peak{7})
		c := openOf(t, net.Pod("c"), "c", merger, podshare.WithErrorHandler[peak](log.add)) // by repair or snapshot
		pass(healing)
		requireHolds(t, c, "k", peak{7})
		require.Zero(t, log.count(nil))
	})
}

// openUnion starts a store of sorted sets whose Merger is their union.
func openUnion(t testing.TB, tr podshare.Transport, node string, opts ...podshare.Option[[]string]) *podshare.Store[[]string] {
	t.Helper()
	return openOf(t, tr, node, append([]podshare.Option[[]string]{podshare.WithMerger(union)}, opts...)...)
}

func union(existing, incoming []string) []string {
	all := append(slices.Clone(existing), incoming...)
	slices.Sort(all)
	return slices.Compact(all)
}

// permute calls fn with every order of items.
func permute[E any](items []E, fn func([]E)) {
	var rec func(n int)
	items = slices.Clone(items)
	rec = func(n int) {
		if n == len(items) {
			fn(items)
			return
		}
		for i := n; i < len(items); i++ {
			items[n], items[i] = items[i], items[n]
			rec(n + 1)
			items[n], items[i] = items[i], items[n]
		}
	}
	rec(0)
}

// A pod whose Merger fails does not take for dead what it cannot join: it reports the key, and the others keep it. It
// has joined empty, where chunks of an answer are applied as they come.
func TestJoinerWhoseMergerFailsHarmsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		union := podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) })
		net := newNetwork(t, 1)
		forgetful := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
		a := open(t, without(net.Pod("a")), "a", append(forgetful, union)...)
		b := open(t, without(net.Pod("b")), "b", append(forgetful, union)...)
		require.NoError(t, a.Set(t.Context(), "k", "A"))
		require.NoError(t, b.Set(t.Context(), "k", "B"))
		pass(healing)
		requireHolds(t, a, "k", "B")

		var log errorLog
		broken := podshare.WithMerger(func(string, string) string { panic("cannot") })
		c := open(t, without(net.Pod("c")), "c", append(forgetful, broken, log.to())...)
		pass(healing)
		require.Positive(t, log.count(podshare.ErrPanic))
		require.Equal(t, "k", log.keyOf(podshare.ErrPanic))
		net.Cut("c") // and misses a delete, so that everything is compared
		require.NoError(t, a.Set(t.Context(), "gone", "v"))
		require.NoError(t, a.Delete(t.Context(), "gone"))
		pass(5 * time.Minute)
		require.NoError(t, c.Set(t.Context(), "own", "v"))
		net.Heal()
		pass(5 * time.Minute)
		requireHolds(t, a, "k", "B")
		requireHolds(t, b, "k", "B")
	})
}

// G5: a batch of which a Merger cannot join one value is refused whole, whether it comes as a frame or by repair.
func TestBatchThatTheMergerCannotJoinIsRefusedWhole(t *testing.T) {
	for name, cut := range map[string]bool{"frame": false, "repair": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				net := newNetwork(t, 1)
				a := open(t, without(net.Pod("a")), "a", podshare.WithMerger(func(x, y string) string { return max(x, y) }))
				b := open(t, without(net.Pod("b")), "b", podshare.WithMerger(func(string, string) string { panic("no") }), log.to())
				require.NoError(t, b.Set(t.Context(), "k2", "B"))
				pass(healing)
				if cut {
					net.Cut("b")
				}
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"k1": "A", "k2": "C", "k3": "A"}))
				require.NoError(t, a.Set(t.Context(), "neighbour", "A"))
				net.Heal()
				pass(healing)
				require.Equal(t, map[string]string{"k2": "B", "neighbour": "A"}, b.Snapshot())
				require.Positive(t, log.count(podshare.ErrPanic))
			})
		})
	}
}

// G3: with a Merger, keys that are held back until their owner is heard are no tombstones, and force none out.
func TestKeysOfOwnersNotHeardYetForceNoTombstoneOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		opts := []podshare.Option[string]{
			podshare.WithMerger(func(x, y string) string { return max(x, y) }), podshare.WithGCInterval[string](time.Second),
			podshare.WithLimits[string](podshare.Limits{Tombstones: 10}),
		}
		net := newNetwork(t, 1)
		a, b := open(t, without(net.Pod("a")), "a", opts...), open(t, without(net.Pod("b")), "b", opts...)
		for i := range 20 {
			require.NoError(t, a.SetOwned(t.Context(), fmt.Sprint("owned ", i), "v"))
		}
		require.NoError(t, a.SetMany(t.Context(), numbered(5, "v")))
		require.NoError(t, a.DeleteMany(t.Context(), slices.Sorted(maps.Keys(numbered(5, "v")))))
		pass(healing)
		net.CutOneWay("a", "c")
		c := open(t, without(net.Pod("c")), "c", opts...)
		pass(healing)
		require.Zero(t, c.Len())
		require.Equal(t, 25, c.Stats().Tombstones+c.Stats().Keys, "what is held and not served")
		require.Zero(t, c.Stats().TombstonesForced)
		net.Heal()
		pass(healing)
		requireSame(t, a, b, c)
		require.Equal(t, 20, c.Len())
	})
}

// Seeds are not sent as a frame, so the limit of one does not bound them: with a Merger no more than without.
func TestSeedsWithAMergerMayBeMoreThanAFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		opts := []podshare.Option[string]{
			podshare.WithLimits[string](podshare.Limits{FrameBytes: 8 << 10, ValueBytes: 2 << 10, KeyBytes: 100}),
			podshare.WithMerger(func(a, b string) string { return max(a, b) }),
		}
		a, b := open(t, tr, "a", opts...), open(t, tr, "b", opts...)
		require.NoError(t, a.Seed(numbered(1000, strings.Repeat("x", 100))))
		pass(healing)
		require.Equal(t, 1000, b.Len())
		requireSame(t, a, b)
	})
}
