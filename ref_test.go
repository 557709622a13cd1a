package podshare_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// requireRef fails unless the Ref and Get give this value, "" for none.
func requireRef(t testing.TB, s *podshare.Store[string], ref *podshare.Ref[string], key, want string) {
	t.Helper()
	got, exists := ref.Get()
	require.Equal(t, want, got, "Ref of %q", key)
	require.Equal(t, want != "", exists, "Ref of %q", key)
	got, exists = s.Get(key)
	require.Equal(t, want, got, "Get of %q", key)
	require.Equal(t, want != "", exists, "Get of %q", key)
}

// A Ref follows the key through writes, deletes, expiry and re-creation, on every pod.
func TestRefFollowsItsKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		forget := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Hour), podshare.WithGCInterval[string](time.Minute)}
		a, b := open(t, tr, "a", forget...), open(t, tr, "b", forget...)
		onA, onB := a.Ref("k"), b.Ref("k")
		want := func(value string) {
			t.Helper()
			requireRef(t, a, onA, "k", value) // here at once
			synctest.Wait()
			requireRef(t, b, onB, "k", value)
		}
		want("")
		require.NoError(t, a.Set(t.Context(), "k", "1"))
		want("1")
		require.NoError(t, a.Set(t.Context(), "other", "no"))
		want("1")
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "2", "l": "2"}))
		want("2")
		require.NoError(t, a.Delete(t.Context(), "k"))
		want("")
		require.NoError(t, a.SetTTL(t.Context(), "k", "3", time.Second))
		want("3")
		pass(time.Second)
		want("")
		require.NoError(t, a.Set(t.Context(), "k", "4"))
		want("4")
		require.NoError(t, a.DeleteMany(t.Context(), []string{"k", "l"}))
		want("")
		require.Positive(t, a.Stats().Tombstones)
		pass(2 * time.Hour) // its tombstone is forgotten
		require.Zero(t, a.Stats().Tombstones)
		require.Equal(t, podshare.Version{}, b.Version("k"))
		want("")
		require.NoError(t, a.Update(t.Context(), "k", func(string, bool) (string, bool) { return "5", true }))
		want("5")
		require.Same(t, onA, a.Ref("k"))
	})
}

// A Ref is past a deadline as soon as Get is, before anything was latched.
func TestRefKeepsToDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c clock
		s := open(t, newMemory(t), "a", podshare.WithClock[string](c.now))
		ref := s.Ref("k")
		require.NoError(t, s.SetTTL(t.Context(), "k", "v", time.Minute))
		requireRef(t, s, ref, "k", "v")
		c.forward(time.Minute)
		requireRef(t, s, ref, "k", "")
	})
}

func TestRefFollowsRepairAndSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.Cut("b")
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		repaired, deleted, stored := b.Ref("repaired"), b.Ref("deleted"), b.Ref("stored")
		require.NoError(t, a.Set(t.Context(), "stored", "v"))
		pass(time.Second)
		requireRef(t, b, stored, "stored", "")
		require.NoError(t, b.Refresh(t.Context()))
		requireRef(t, b, stored, "stored", "v")
		require.NoError(t, b.Set(t.Context(), "deleted", "v"))
		requireRef(t, b, deleted, "deleted", "v")
		pass(time.Second)
		require.NoError(t, a.Refresh(t.Context()))
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"repaired": "v", "deleted": "w"}))
		require.NoError(t, a.Delete(t.Context(), "deleted"))
		net.Heal()
		pass(healing)
		requireRef(t, b, repaired, "repaired", "v")
		requireRef(t, b, deleted, "deleted", "")
	})
}

// An owned key is there when its owner is heard, until the lease has passed.
func TestRefFollowsTheOwnerOfItsKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		require.NoError(t, a.SetOwned(t.Context(), "k", "v"))
		pass(time.Second) // stored
		net.Cut("a")
		b := open(t, net.Pod("b"), "b")
		ref := b.Ref("k")
		requireRef(t, b, ref, "k", "")
		net.Heal()
		pass(healing)
		requireRef(t, b, ref, "k", "v")
		net.Cut("a")
		pass(30 * time.Second)
		requireRef(t, b, ref, "k", "")
		net.Heal()
		pass(healing)
		requireRef(t, b, ref, "k", "v")
		require.NoError(t, a.Close())
		pass(healing)
		requireRef(t, b, ref, "k", "")
	})
}

func TestRefFollowsJoins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		merger := podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) + "+" })
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a", merger), open(t, net.Pod("b"), "b", merger)
		ref := b.Ref("k")
		same := func(want string) {
			t.Helper()
			synctest.Wait()
			requireRef(t, b, ref, "k", want)
		}
		require.NoError(t, a.Set(t.Context(), "k", "a"))
		pass(healing)
		same("a")
		require.NoError(t, b.Set(t.Context(), "k", "b"))
		same("b+")
		require.NoError(t, b.SetTTL(t.Context(), "l", "b", time.Minute))
		require.NoError(t, a.Delete(t.Context(), "k"))
		pass(healing)
		same("")
		require.NoError(t, b.SetTTL(t.Context(), "k", "c", time.Minute))
		same("c")
		require.NoError(t, a.Set(t.Context(), "k", "b"))
		pass(healing)
		same("c+")
		pass(time.Minute)
		same("b")
	})
}

// The keys of a batch change for their Refs all at once.
func TestRefsSeeBatchesWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := openOf[int](t, tr, "a"), openOf[int](t, tr, "b")
		var done atomic.Bool
		var readers sync.WaitGroup
		for _, s := range []*podshare.Store[int]{a, b} {
			first, last := s.Ref("first"), s.Ref("last")
			readers.Go(func() {
				for !done.Load() {
					// What grows is read first where it must not be ahead.
					before, _ := first.Get()
					after, _ := last.Get()
					if after < before {
						t.Errorf("last is at %d when first was at %d", after, before)
						return
					}
					before, _ = last.Get()
					if after, _ := first.Get(); after < before {
						t.Errorf("first is at %d when last was at %d", after, before)
						return
					}
				}
			})
		}
		for i := 1; i <= 300; i++ {
			batch := map[string]int{"first": i, "last": i}
			for k := range 20 {
				batch[strconv.Itoa(k)] = i
			}
			require.NoError(t, a.SetMany(staying, batch))
		}
		done.Store(true)
		readers.Wait()
		synctest.Wait()
		got, _ := b.Ref("last").Get()
		require.Equal(t, 300, got)
	})
}

func TestRefOfAKeyIsTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		refs := make([]*podshare.Ref[string], 8)
		var callers sync.WaitGroup
		for i := range refs {
			callers.Go(func() { refs[i] = s.Ref("k") })
		}
		callers.Wait()
		for _, ref := range refs {
			require.Same(t, refs[0], ref)
		}
		require.NotSame(t, refs[0], s.Ref("l"))
	})
}

// A Ref of a key that no store can hold stays empty.
func TestRefOfAnImpossibleKeyIsEmpty(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		for _, key := range []string{"", strings.Repeat("k", 1<<20)} {
			_, exists := s.Ref(key).Get()
			require.False(t, exists)
		}
	})
}

// After Close a Ref gives the last state; also one that is made then.
func TestRefAfterCloseGivesTheLastState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"k": "v", "l": "w"}))
		require.NoError(t, s.SetTTL(t.Context(), "passing", "v", time.Minute))
		k, passing := s.Ref("k"), s.Ref("passing")
		require.NoError(t, s.Close())
		requireRef(t, s, k, "k", "v")
		requireRef(t, s, s.Ref("l"), "l", "w")
		requireRef(t, s, passing, "passing", "v")
		pass(time.Minute)
		requireRef(t, s, passing, "passing", "")
	})
}

// Get of a Ref allocates nothing and is not counted in Stats.Reads.
func TestRefGetAllocatesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.NoError(t, a.Set(t.Context(), "plain", "v"))
		require.NoError(t, a.SetMany(t.Context(), numbered(10, "v")))
		require.NoError(t, a.SetTTL(t.Context(), "passing", "v", time.Hour))
		require.NoError(t, a.SetOwned(t.Context(), "owned", "v"))
		synctest.Wait()
		for _, s := range []*podshare.Store[string]{a, b} {
			for _, key := range []string{"plain", "key 00003", "passing", "owned", "none"} {
				ref := s.Ref(key)
				require.Zero(t, testing.AllocsPerRun(1000, func() {
					if _, exists := ref.Get(); exists != (key != "none") {
						t.Error(key)
					}
				}), key)
			}
			require.Zero(t, s.Stats().Reads)
		}
	})
}

// All methods may be used by several goroutines at once, while others write and the collector takes what was dropped.
func TestRefsUnderConcurrentWritersAndCollections(t *testing.T) {
	s := openOf[int](t, newMemory(t), "a")
	const keys, rounds = 8, 200
	name := func(k int) string { return fmt.Sprint("k", k%keys) }
	var done atomic.Bool
	var writers, others sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 1; i <= rounds; i++ {
				var err error
				switch k := i*2 + w; i % 10 {
				case 7:
					err = s.Delete(staying, name(k))
				case 8:
					err = s.SetMany(staying, map[string]int{name(k): i, name(k + 2): i})
				default:
					err = s.Set(staying, name(k), i) // each writer has half of the keys, so values only grow
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		others.Go(func() {
			last := [keys]int{}
			for k := 0; !done.Load(); k++ {
				n, exists := s.Ref(name(k)).Get() // dropped at once
				if exists && n < last[k%keys] {
					t.Errorf("%s fell from %d to %d", name(k), last[k%keys], n)
					return
				}
				last[k%keys] = max(last[k%keys], n)
			}
		})
	}
	others.Go(func() {
		for !done.Load() {
			runtime.GC()
		}
	})
	writers.Wait()
	done.Store(true)
	others.Wait()
	for k := range keys {
		want, held := s.Get(name(k))
		got, exists := s.Ref(name(k)).Get()
		require.Equal(t, held, exists, name(k))
		require.Equal(t, want, got, name(k))
	}
}
