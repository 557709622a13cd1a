package podshare_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

func TestWritesAreReadHereAtOnceAndOnEveryPodSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		requireHolds(t, a, "k", "v")
		synctest.Wait()
		requireHolds(t, b, "k", "v")

		require.NoError(t, b.SetMany(t.Context(), map[string]string{"k": "w", "l": "x"}))
		require.NoError(t, b.Delete(t.Context(), "k"))
		requireAbsent(t, b, "k")
		synctest.Wait()
		requireAbsent(t, a, "k")
		requireHolds(t, a, "l", "x")
		requireAbsent(t, a, "never written")
	})
}

func TestNameAndTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		s, err := podshare.New[string](t.Context(), "some topic", tr)
		require.NoError(t, err)
		defer s.Close()
		require.Equal(t, "some topic", s.Topic())
		require.Len(t, s.NodeID(), 36, "a UUID unless named")
	})
}

// G7: Get allocates nothing.
func TestGetAllocatesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		sets := openOf[[]string](t, newMemory(t), "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.SetMany(t.Context(), numbered(10, "v")))
		require.NoError(t, sets.Set(t.Context(), "k", []string{"v"}))
		synctest.Wait()
		for name, get := range map[string]func() bool{
			"own write":      func() bool { _, ok := a.Get("k"); return ok },
			"peer's write":   func() bool { _, ok := b.Get("k"); return ok },
			"of a batch":     func() bool { _, ok := b.Get("key 00003"); return ok },
			"with pointers":  func() bool { _, ok := sets.Get("k"); return ok },
			"that is absent": func() bool { _, ok := a.Get("none"); return !ok },
		} {
			require.Zero(t, testing.AllocsPerRun(1000, func() {
				if !get() {
					t.Error(name)
				}
			}), name)
		}
	})
}

func TestEmptyKeyIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		for name, err := range map[string]error{
			"Set":        a.Set(t.Context(), "", "v"),
			"Delete":     a.Delete(t.Context(), ""),
			"SetMany":    a.SetMany(t.Context(), map[string]string{"": "v", "k": "v"}),
			"DeleteMany": a.DeleteMany(t.Context(), []string{"k", ""}),
			"TrySet":     second(a.TrySet(t.Context(), "", "v", podshare.Version{})),
			"Seed":       a.Seed(map[string]string{"": "v", "k": "v"}),
		} {
			require.ErrorIs(t, err, podshare.ErrEmptyKey, name)
		}
		require.Empty(t, a.Snapshot())
	})
}

// The map and the keys returned are the caller's.
func TestSnapshotAndKeysAreCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		require.NotNil(t, a.Snapshot(), "an empty store gives an empty map")
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"a": "1", "b": "2"}))
		clear(a.Snapshot())
		clear(a.Keys())
		require.Equal(t, map[string]string{"a": "1", "b": "2"}, a.Snapshot())
		require.ElementsMatch(t, slices.Collect(maps.Keys(a.Snapshot())), a.Keys())
	})
}

// The Version of a deleted key keeps its stamp with Exists=false.
func TestVersionStaysAfterDelete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.Equal(t, podshare.Version{}, a.Version("k"))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		set := a.Version("k")
		require.Equal(t, "a", set.Origin)
		require.Equal(t, uint64(1), set.Seq)
		require.True(t, set.Exists)
		require.True(t, set.Timestamp.Equal(time.Now()))
		synctest.Wait()
		require.NoError(t, b.Delete(t.Context(), "k"))
		synctest.Wait()
		for _, s := range []*podshare.Store[string]{a, b} {
			deleted := s.Version("k")
			require.False(t, deleted.Exists)
			require.Equal(t, "b", deleted.Origin)
			require.Equal(t, uint64(1), deleted.Seq)
			require.True(t, deleted.Timestamp.After(set.Timestamp))
		}
	})
}

func TestTrySetGuardsByVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		try := func(value string, prev podshare.Version) bool {
			t.Helper()
			won, err := a.TrySet(t.Context(), "k", value, prev)
			require.NoError(t, err)
			return won
		}
		require.True(t, try("1", podshare.Version{}))
		first := a.Version("k")
		require.False(t, try("no", podshare.Version{}), "it exists")
		require.True(t, try("2", first))
		require.False(t, try("no", first), "it has changed")
		requireHolds(t, a, "k", "2")

		last := a.Version("k")
		require.NoError(t, a.Delete(t.Context(), "k"))
		require.False(t, try("no", last), "it was deleted")
		require.True(t, try("3", a.Version("k")))
		require.NoError(t, a.Delete(t.Context(), "k"))
		last.Exists = false
		require.True(t, try("4", last), "any prev with Exists=false means: only if absent")
		require.False(t, try("5", last))
		requireHolds(t, a, "k", "4")
	})
}

// Seeds fill an empty store, without events, and reach peers by repair.
func TestSeedReachesPeersByRepairWithoutEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a", podshare.WithSnapshotInterval[string](time.Hour))
		b := open(t, tr, "b", podshare.WithSnapshotInterval[string](time.Hour))
		pass(threeHeartbeats)
		events := a.Watch(t.Context())
		require.NoError(t, a.Seed(map[string]string{"k": "v", "l": "w"}))
		require.Equal(t, map[string]string{"k": "v", "l": "w"}, a.Snapshot())
		pass(healing)
		requireSame(t, a, b)
		got, _ := drain(events)
		require.Empty(t, got)
	})
}

func TestSeedReachesPeersBySnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a")
		require.NoError(t, a.Seed(map[string]string{"k": "v"}))
		require.NoError(t, a.Close())
		requireHolds(t, open(t, tr, "b"), "k", "v")
	})
}

func TestSeedOfAStoreThatHoldsAKeyIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		require.NoError(t, a.Seed(nil))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.ErrorIs(t, a.Seed(map[string]string{"l": "w"}), podshare.ErrSeedNonEmpty)
		require.ErrorIs(t, a.Seed(nil), podshare.ErrSeedNonEmpty)
		require.Equal(t, []string{"k"}, a.Keys())
	})
}

// Seeds order below every real write, deletes included, whichever came first.
func TestSeedLosesToEveryWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.Cut("a")
		interval := podshare.WithSnapshotInterval[string](time.Hour)
		a, b := open(t, net.Pod("a"), "a", interval), open(t, net.Pod("b"), "b", interval)
		require.NoError(t, b.SetMany(t.Context(), map[string]string{"written": "b", "deleted": "b"}))
		require.NoError(t, b.Delete(t.Context(), "deleted"))
		pass(time.Minute)
		require.NoError(t, a.Seed(map[string]string{"written": "seed", "deleted": "seed", "only": "seed"}))
		net.Heal()
		pass(healing)
		pass(healing)
		require.Equal(t, map[string]string{"written": "b", "only": "seed"}, a.Snapshot())
		requireSame(t, a, b)

		require.NoError(t, b.Set(t.Context(), "only", "b"))
		synctest.Wait()
		requireHolds(t, a, "only", "b")
	})
}

// A seed is stored whole or not at all.
func TestSeedWithAnErrorStoresNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := openOf[any](t, newMemory(t), "a")
		require.Error(t, a.Seed(map[string]any{"a": 1, "b": func() {}, "c": 2}))
		require.Empty(t, a.Keys())
		require.NoError(t, a.Seed(map[string]any{"a": 1}))
	})
}

// Deleting what is not there leaves nothing behind.
func TestDeletingAbsentKeysLeavesNoTombstones(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		for range 10 {
			require.NoError(t, a.DeleteMany(t.Context(), slices.Collect(maps.Keys(numbered(100, "")))))
			require.NoError(t, a.Delete(t.Context(), "none"))
		}
		require.Zero(t, a.Stats().Tombstones)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		for range 10 {
			require.NoError(t, a.Delete(t.Context(), "k"))
		}
		require.Equal(t, 1, a.Stats().Tombstones)
		require.Equal(t, uint64(2), a.Stats().WritesLocal)
	})
}

func TestEmptyBatchesDoNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		require.NoError(t, a.SetMany(t.Context(), nil))
		require.NoError(t, a.DeleteMany(t.Context(), nil))
		require.Zero(t, a.Stats().WritesLocal)
	})
}

func TestBatchOfDeletesNamesAKeyTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.NoError(t, a.SetMany(t.Context(), numbered(3, "v")))
		keys := []string{"key 00002", "key 00000", "key 00002", "none"}
		require.NoError(t, a.DeleteMany(t.Context(), keys))
		require.Equal(t, []string{"key 00002", "key 00000", "key 00002", "none"}, keys, "the argument is the caller's")
		synctest.Wait()
		require.Equal(t, []string{"key 00001"}, b.Keys())
		requireSame(t, a, b)
	})
}

func TestStatsMoveAsDocumented(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		opts := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
		a, b := open(t, tr, "a", opts...), open(t, tr, "b", opts...)
		ctx, cancel := context.WithCancel(t.Context())
		events := b.Watch(ctx)

		require.NoError(t, a.SetMany(t.Context(), numbered(3, "v")))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Delete(t.Context(), "key 00000"))
		synctest.Wait()
		require.Equal(t, uint64(5), a.Stats().WritesLocal)
		require.Zero(t, a.Stats().WritesApplied)
		require.Equal(t, uint64(5), b.Stats().WritesApplied)
		require.Zero(t, b.Stats().WritesLocal)
		require.Equal(t, uint64(5), b.Stats().EventsDispatched)
		require.Len(t, events, 5)
		require.Equal(t, 1, b.Stats().WatchersActive)
		cancel()
		synctest.Wait()
		require.Zero(t, b.Stats().WatchersActive)
		require.Zero(t, b.Stats().WatchersDropped)
		require.Equal(t, 3, b.Stats().Keys)
		require.Equal(t, 1, b.Stats().Tombstones)

		for i := range 100_000 {
			b.Get(strconv.Itoa(i))
		}
		require.InEpsilon(t, 100_000, b.Stats().Reads, 0.2, "an estimate")

		pass(time.Second)
		require.Equal(t, uint64(1), a.Stats().Snapshots)
		require.Positive(t, a.Stats().SnapshotBytes)
		pass(2 * time.Minute)
		for _, s := range []*podshare.Store[string]{a, b} {
			require.Zero(t, s.Stats().Tombstones)
			require.Equal(t, uint64(1), s.Stats().TombstonesGCed)
		}
	})
}

// What a caller changes after Set, or in what Get returned, does not reach what peers are repaired from.
func TestMutatedValuesDoNotReachPeers(t *testing.T) {
	type value struct {
		List []string
		Map  map[string]int
	}
	for name, opts := range map[string][]podshare.Option[value]{
		"newest wins": nil,
		"merger":      {podshare.WithMerger(func(_, incoming value) value { return incoming })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a := openOf(t, net.Pod("a"), "a", opts...)
				v := value{List: []string{"good"}, Map: map[string]int{"good": 1}}
				want := value{List: []string{"good"}, Map: map[string]int{"good": 1}}
				require.NoError(t, a.Set(t.Context(), "k", v))
				v.List[0], v.Map["bad"] = "bad", 1
				if got, ok := a.Get("k"); ok {
					got.List[0], got.Map["worse"] = "worse", 1
				}
				b := openOf(t, net.Pod("b"), "b", opts...) // by repair
				pass(healing)
				requireHolds(t, b, "k", want)
				require.NoError(t, a.Close())
				require.NoError(t, b.Close())
				net.Cut("c")
				requireHolds(t, openOf(t, net.Pod("c"), "c", opts...), "k", want) // by snapshot
			})
		})
	}
}

// Topics and nodes with '@' do not cross-talk.
func TestTopicsAndNodesWithAtSignsDoNotCrossTalk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		names := []string{"t", "t@", "t@@", "t@:a", "t@@:a", "t@:a@", "@", "@@", "t@:", "@:a", "t:a", "t@b@:a"}
		var stores []*podshare.Store[string]
		for _, name := range names {
			for _, node := range []string{"a", "a@", "@:a", "b@:a"} {
				s, err := podshare.New[string](t.Context(), name, tr, podshare.WithNodeID[string](node))
				require.NoError(t, err)
				defer s.Close()
				stores = append(stores, s)
			}
		}
		for _, s := range stores {
			require.NoError(t, s.Set(t.Context(), s.NodeID(), s.Topic()))
		}
		late := map[string]*podshare.Store[string]{}
		for _, name := range names {
			s, err := podshare.New[string](t.Context(), name, tr, podshare.WithNodeID[string]("late@"))
			require.NoError(t, err)
			defer s.Close()
			late[name] = s
		}
		pass(healing)
		for _, s := range append(stores, slices.Collect(maps.Values(late))...) {
			want := map[string]string{"a": s.Topic(), "a@": s.Topic(), "@:a": s.Topic(), "b@:a": s.Topic()}
			require.Equal(t, want, s.Snapshot(), "topic %q node %q", s.Topic(), s.NodeID())
		}
	})
}
