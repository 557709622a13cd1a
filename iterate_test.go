package podshare_test

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// requireLen fails unless Len, Keys, Snapshot, All and Stats agree on what the store serves.
func requireLen[T any](t testing.TB, s *podshare.Store[T], want int) {
	t.Helper()
	require.Equal(t, want, s.Len(), "Len")
	require.Len(t, s.Snapshot(), want)
	require.Len(t, s.Keys(), want)
	require.Equal(t, want, s.Stats().Keys)
	n := 0
	for key, value := range s.All() {
		requireHolds(t, s, key, value)
		n++
	}
	require.Equal(t, want, n, "All")
}

// A loop shows keys and values as they are at the moment when it begins, batches whole, on the writing pod and another.
func TestLoopShowsOneMomentWhileWritersGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := openOf[int](t, tr, "a"), openOf[int](t, tr, "b")
		pass(threeHeartbeats)
		const keys, rounds = 100, 30
		var done atomic.Bool
		var readers, writers sync.WaitGroup
		for _, s := range []*podshare.Store[int]{a, b} {
			readers.Go(func() {
				for !done.Load() {
					n, generation := 0, 0
					for key, value := range s.Prefix("k") {
						if n++; n == 1 {
							generation = value
						}
						if value != generation {
							t.Errorf("%q is of generation %d beside %d", key, value, generation)
							return
						}
					}
					if n != 0 && n != keys {
						t.Errorf("%d keys of a batch", n)
					}
				}
			})
		}
		for w, s := range []*podshare.Store[int]{a, b} {
			writers.Go(func() {
				batch := map[string]int{}
				for round := range rounds {
					for k := range keys {
						batch["k"+strconv.Itoa(k)] = w*rounds + round
					}
					if err := s.SetMany(staying, batch); err != nil {
						t.Error(err)
					}
					if round%7 == 3 {
						if err := s.DeleteMany(staying, slices.Collect(maps.Keys(batch))); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		writers.Wait()
		done.Store(true)
		readers.Wait()
		pass(healing)
		requireSame(t, a, b)
	})
}

// The loop may use the Store; what it writes the loop itself does not see.
func TestLoopMayUseTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		want := map[string]int{}
		for i := range 50 {
			want["old "+strconv.Itoa(i)] = i
		}
		require.NoError(t, s.SetMany(t.Context(), want))
		got, n := map[string]int{}, 0
		for key, value := range s.All() {
			got[key] = value
			for i := range 20 { // enough for the tables to grow below the loop
				require.NoError(t, s.Set(t.Context(), "new "+strconv.Itoa(n), i))
				n++
			}
			require.NoError(t, s.Delete(t.Context(), "old "+strconv.Itoa(n%50)))
			require.NoError(t, s.Update(t.Context(), "old "+strconv.Itoa((n+1)%50), increment))
		}
		require.Equal(t, want, got)
		require.Greater(t, s.Len(), 50)
	})
}

func TestNestedLoopsShowEachItsMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), map[string]int{"x": 0, "y": 0, "z": 0}))
		all, round := s.All(), 0
		for _, value := range all {
			require.Zero(t, value)
			round++
			require.NoError(t, s.SetMany(t.Context(), map[string]int{"x": round, "y": round, "z": round}))
			for _, value := range all { // the same sequence begins anew
				require.Equal(t, round, value)
			}
			require.Equal(t, map[string]int{"x": round, "y": round, "z": round}, maps.Collect(s.Prefix("")))
		}
		require.Equal(t, 3, round)
	})
}

func TestPrefixShowsTheKeysWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"a": "1", "ab": "2", "abc": "3", "b": "4", "ba": "5"}))
		require.NoError(t, s.Delete(t.Context(), "abc"))
		for prefix, want := range map[string]map[string]string{
			"":    {"a": "1", "ab": "2", "b": "4", "ba": "5"},
			"a":   {"a": "1", "ab": "2"},
			"ab":  {"ab": "2"},
			"abc": {},
			"c":   {},
		} {
			require.Equal(t, want, maps.Collect(s.Prefix(prefix)), prefix)
		}
	})
}

// After Close a loop shows the last state.
func TestLoopsAfterCloseShowTheLastState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"k": "v", "l": "w"}))
		got := map[string]string{}
		for key, value := range s.All() {
			require.NoError(t, s.Close()) // in the middle of it, too
			got[key] = value
		}
		require.Equal(t, map[string]string{"k": "v", "l": "w"}, got)
		requireLen(t, s, 2)
	})
}

// Len counts what is served, whatever the state of the keys.
func TestLenCountsWhatIsServed(t *testing.T) {
	for name, opts := range map[string][]podshare.Option[string]{
		"newest wins": nil,
		"merger":      {podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a := open(t, net.Pod("a"), "a", opts...)
				requireLen(t, a, 0)
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "v", "l": "v", "deleted": "v"}))
				require.NoError(t, a.SetTTL(t.Context(), "passing", "v", time.Minute))
				require.NoError(t, a.SetOwned(t.Context(), "owned", "v"))
				requireLen(t, a, 5)
				require.NoError(t, a.Delete(t.Context(), "deleted"))
				requireLen(t, a, 4)
				pass(time.Second) // stored
				net.Cut("a")

				b := open(t, net.Pod("b"), "b", opts...)
				requireLen(t, b, 3) // the owner was not heard
				require.NoError(t, b.SetOwned(t.Context(), "mine", "v"))
				requireLen(t, b, 4)
				net.Heal()
				pass(healing)
				requireLen(t, b, 5)
				requireLen(t, a, 5)

				net.Cut("a")
				pass(30 * time.Second) // longer than the lease
				requireLen(t, b, 4)
				requireLen(t, a, 4)
				net.Heal()
				pass(healing)
				requireLen(t, b, 5)
				pass(time.Minute)
				requireLen(t, a, 4)
				requireLen(t, b, 4)
				require.NoError(t, a.Close())
				pass(healing)
				requireLen(t, b, 3)
				requireLen(t, a, 4) // the last state, for as long as b's lease lasts
				pass(time.Minute)
				requireLen(t, a, 3)
			})
		})
	}
}

// Keys that are over are not counted, though nothing has cleared them away yet.
func TestLenCountsNothingThatIsOver(t *testing.T) {
	for name, opts := range map[string][]podshare.Option[string]{
		"newest wins": nil,
		"merger":      {podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var c clock
				opts := append(opts, podshare.WithClock[string](c.now), podshare.WithTTL[string](time.Minute))
				s := open(t, newMemory(t), "a", opts...)
				events := s.Watch(t.Context(), podshare.WatchConflate())
				require.NoError(t, s.SetMany(t.Context(), numbered(5_000, "v"))) // more than go at a time
				require.NoError(t, s.SetOwned(t.Context(), "k", "v"))
				requireLen(t, s, 5_001)
				synctest.Wait()
				c.forward(time.Minute)
				requireLen(t, s, 1)
				told := newFollower()
				require.True(t, told.takeAll(t, events))
				require.Equal(t, map[string]string{"k": "v"}, told.holds)
				requireLen(t, s, 1)
			})
		})
	}
}

// A batch with a deadline that passes while a loop goes on is shown whole: it was there when the loop began.
func TestLoopShowsWholeWhatExpiresMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c clock
		s := open(t, newMemory(t), "a", podshare.WithClock[string](c.now), podshare.WithTTL[string](time.Minute))
		require.NoError(t, s.SetMany(t.Context(), numbered(100, "v")))
		n := 0
		for _, value := range s.All() {
			require.Equal(t, "v", value)
			if n++; n == 10 {
				c.forward(time.Minute)
				pass(time.Minute)
				requireLen(t, s, 0)
			}
		}
		require.Equal(t, 100, n)
	})
}

// The keys of an owner that is heard while a loop goes on are not shown by halves: they were not there when it began.
func TestLoopShowsNothingOfAnOwnerHeardMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		for key := range numbered(50, "") {
			require.NoError(t, a.SetOwned(t.Context(), key, "owned"))
		}
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "v", "l": "v", "m": "v"}))
		pass(time.Second) // stored
		net.Cut("a")
		b := open(t, net.Pod("b"), "b")
		got := map[string]string{}
		for key, value := range b.All() {
			if got[key] = value; len(got) == 1 {
				net.Heal()
				pass(healing)
				requireLen(t, b, 53)
			}
		}
		require.Equal(t, map[string]string{"k": "v", "l": "v", "m": "v"}, got)
	})
}

// The keys of an owner that lapses while a loop goes on are all shown.
func TestLoopShowsWholeWhatLapsesMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		for key := range numbered(50, "") {
			require.NoError(t, a.SetOwned(t.Context(), key, "owned"))
		}
		pass(healing)
		n := 0
		for range b.All() {
			if n++; n == 10 {
				net.Cut("a")
				pass(time.Minute)
				requireLen(t, b, 0)
			}
		}
		require.Equal(t, 50, n)
	})
}
