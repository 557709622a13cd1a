package podshare_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// Of eight concurrent calls of TrySet with one prev exactly one wins.
func TestOneOfConcurrentTrySetsWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		for round := range 50 {
			prev := s.Version("k")
			if round%5 == 4 { // also from absence
				require.NoError(t, s.Delete(t.Context(), "k"))
				prev = podshare.Version{}
			}
			var winner, wins atomic.Int32
			var callers sync.WaitGroup
			for i := range 8 {
				callers.Go(func() {
					won, err := s.TrySet(staying, "k", round*8+i, prev)
					if err != nil {
						t.Error(err)
					}
					if won {
						wins.Add(1)
						winner.Store(int32(round*8 + i))
					}
				})
			}
			callers.Wait()
			require.Equal(t, int32(1), wins.Load())
			requireHolds(t, s, "k", int(winner.Load()))
		}
	})
}

// A counter kept by TrySet alone loses no increment.
func TestTrySetCountsExactly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for done := 0; done < 25; {
					version := s.Version("n")
					n, _ := s.Get("n")
					won, err := s.TrySet(staying, "n", n+1, version)
					if err != nil {
						t.Error(err)
						return
					}
					if won {
						done++
					}
				}
			})
		}
		callers.Wait()
		requireHolds(t, s, "n", 8*25)
	})
}

// G6: per key a watcher sees versions that never fall, no duplicates, and its last event equals the store's
// state, with eight writers on two stores.
func TestLastEventOfAKeyEqualsTheStoredValueUnderConcurrentWriters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		buffer := podshare.WithWatchBuffer[string](10_000)
		stores := []*podshare.Store[string]{open(t, tr, "a", buffer), open(t, tr, "b", buffer)}
		pass(threeHeartbeats)
		type watch struct {
			store  *podshare.Store[string]
			events <-chan podshare.Event[string]
		}
		var watches []watch
		for _, s := range stores {
			watches = append(watches,
				watch{s, s.Watch(t.Context())},
				watch{s, s.Watch(t.Context(), podshare.WatchPrefix("k"))},
				watch{s, s.Watch(t.Context(), podshare.WatchFilter(func(string) bool { return true }))})
		}
		var writers sync.WaitGroup
		for i := range 8 {
			writers.Go(func() {
				s, rng := stores[i%2], rand.New(rand.NewPCG(uint64(i), 1))
				for n := range 50 {
					key, value := "k"+strconv.Itoa(rng.IntN(4)), fmt.Sprint(i, " ", n)
					var err error
					switch rng.IntN(5) {
					case 0:
						err = s.Delete(staying, key)
					case 1:
						err = s.SetMany(staying, map[string]string{key: value, "k0": value})
					default:
						err = s.Set(staying, key, value)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		synctest.Wait()
		pass(healing)
		requireSame(t, stores...)
		for i, w := range watches {
			got, open := drain(w.events)
			require.True(t, open)
			last := map[string]podshare.Event[string]{}
			for _, ev := range got {
				before, seen := last[ev.Key]
				require.False(t, seen && ev.Timestamp.Before(before.Timestamp), "watcher %d: version of %q fell", i, ev.Key)
				require.False(t, seen && ev.Timestamp.Equal(before.Timestamp) && ev.Origin == before.Origin, "watcher %d: %q twice", i, ev.Key)
				last[ev.Key] = ev
			}
			for key, ev := range last {
				value, exists := w.store.Get(key)
				require.Equal(t, exists, ev.Kind == podshare.EventSet, "watcher %d: %q", i, key)
				require.Equal(t, value, ev.Value, "watcher %d: %q", i, key)
			}
		}
	})
}

// G5: what Snapshot, Keys and Get return is consistent with batches, here and on the receiving pod.
func TestReadersSeeBatchesWholeUnderConcurrentWriters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := openOf[int](t, tr, "a"), openOf[int](t, tr, "b")
		pass(threeHeartbeats)
		const keys, rounds = 20, 40
		var done atomic.Bool
		var readers, writers sync.WaitGroup
		for _, s := range []*podshare.Store[int]{a, b} {
			readers.Go(func() {
				for !done.Load() {
					contents := s.Snapshot()
					if n := len(contents); n != 0 && n != keys {
						t.Errorf("Snapshot shows %d keys of a batch", n)
					}
					for _, v := range contents {
						if v != contents["0"] {
							t.Errorf("Snapshot shows %d beside %d", v, contents["0"])
						}
						break
					}
					if n := len(s.Keys()); n != 0 && n != keys {
						t.Errorf("Keys shows %d keys of a batch", n)
					}
				}
			})
		}
		// All batches are of the same keys, each from one store, so that every state is one batch's.
		for w, s := range []*podshare.Store[int]{a, b} {
			writers.Go(func() {
				for round := range rounds {
					m := map[string]int{}
					names := make([]string, 0, keys)
					for k := range keys {
						m[strconv.Itoa(k)] = w*rounds + round
						names = append(names, strconv.Itoa(k))
					}
					err := s.SetMany(staying, m)
					if round%7 == 3 {
						err = errors.Join(err, s.DeleteMany(staying, names))
					}
					if err != nil {
						t.Error(err)
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

// Everything at once, with Close in the middle: nothing but ErrClosed comes of it.
func TestCloseUnderFullUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.NoError(t, a.SetMany(t.Context(), numbered(10, "v")))
		var users sync.WaitGroup
		use := func(call func(i int) error) {
			users.Go(func() {
				for i := 0; ; i++ {
					switch err := call(i); {
					case errors.Is(err, podshare.ErrClosed):
						return
					case err != nil && !errors.Is(err, podshare.ErrBroadcast):
						t.Error(err)
						return
					}
				}
			})
		}
		ctx := t.Context()
		use(func(i int) error { return a.Set(ctx, "set", strconv.Itoa(i)) })
		use(func(i int) error { return a.Set(staying, "direct", strconv.Itoa(i)) })
		use(func(i int) error { return a.SetMany(ctx, numbered(3, strconv.Itoa(i))) })
		use(func(int) error { return a.DeleteMany(ctx, []string{"set", "direct", "try"}) })
		use(func(i int) error { return second(a.TrySet(ctx, "try", strconv.Itoa(i), a.Version("try"))) })
		use(func(int) error { return a.Refresh(ctx) })
		use(func(int) error {
			a.Get("set")
			a.Keys()
			a.Stats()
			if err := a.Seed(nil); !errors.Is(err, podshare.ErrSeedNonEmpty) {
				return err
			}
			return nil
		})
		for range 4 {
			users.Go(func() {
				for range 20 {
					for range a.Watch(ctx) {
						break
					}
				}
			})
		}
		for b.Stats().WritesApplied < 200 { // it is in full use
			b.Get("set")
		}
		for range 3 {
			users.Go(func() { _ = a.Close() })
		}
		users.Wait()
		pass(healing + 10*time.Second) // what no frame brought is in the stored snapshot
		require.Equal(t, a.Snapshot(), b.Snapshot())
	})
}
