package podshare_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

func increment(old int, _ bool) (int, bool) { return old + 1, true }

// No write of this store comes between what fn is given and what it returns.
func TestUpdateLosesNoIncrement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		const callers, each = 8, 1_250
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range each {
					if err := s.Update(staying, "n", increment); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		requireHolds(t, s, "n", callers*each)
		require.Equal(t, uint64(callers*each), s.Stats().WritesLocal)
	})
}

// fn is called without a lock and may use the Store.
func TestUpdateMayUseTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		require.NoError(t, s.Set(t.Context(), "price", 3))
		require.NoError(t, s.Update(t.Context(), "total", func(old int, exists bool) (int, bool) {
			require.False(t, exists)
			require.NoError(t, s.Set(staying, "log", 1))
			require.NoError(t, s.Update(staying, "calls", increment))
			require.NoError(t, s.Delete(staying, "none"))
			require.Equal(t, 3, s.Len())
			price, _ := s.Ref("price").Get()
			for key, value := range s.Prefix("pri") {
				require.Equal(t, "price", key)
				require.Equal(t, price, value)
			}
			return old + price, true
		}))
		require.Equal(t, map[string]int{"price": 3, "log": 1, "calls": 1, "total": 3}, s.Snapshot())
	})
}

// If the key changed meanwhile fn is called again with what there is then.
func TestUpdateCallsAgainWhenTheKeyChanged(t *testing.T) {
	for name, change := range map[string]struct {
		do     func(s, peer *podshare.Store[string]) error
		old    string
		exists bool
	}{
		"set":      {func(s, _ *podshare.Store[string]) error { return s.Set(staying, "k", "2") }, "2", true},
		"the same": {func(s, _ *podshare.Store[string]) error { return s.Set(staying, "k", "1") }, "1", true},
		"batch": {func(s, _ *podshare.Store[string]) error {
			return s.SetMany(staying, map[string]string{"k": "2", "l": "2"})
		}, "2", true},
		"delete":       {func(s, _ *podshare.Store[string]) error { return s.Delete(staying, "k") }, "", false},
		"peer's write": {func(_, p *podshare.Store[string]) error { defer synctest.Wait(); return p.Set(staying, "k", "2") }, "2", true},
		"update": {func(s, _ *podshare.Store[string]) error {
			return s.Update(staying, "k", func(old string, _ bool) (string, bool) { return old + "2", true })
		}, "12", true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := newMemory(t)
				a, b := open(t, tr, "a"), open(t, tr, "b")
				require.NoError(t, a.Set(t.Context(), "k", "1"))
				synctest.Wait()
				calls := 0
				require.NoError(t, a.Update(t.Context(), "k", func(old string, exists bool) (string, bool) {
					if calls++; calls == 1 {
						require.NoError(t, change.do(a, b))
						return "lost", true
					}
					require.Equal(t, change.old, old)
					require.Equal(t, change.exists, exists)
					return old + "!", true
				}))
				require.Equal(t, 2, calls)
				requireHolds(t, a, "k", change.old+"!")
				synctest.Wait()
				requireSame(t, a, b)
			})
		})
	}
}

// When fn asks for no write nothing is written and there is no error.
func TestUpdateWithoutWriteWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		version := s.Version("k")
		for _, key := range []string{"k", "none"} {
			require.NoError(t, s.Update(t.Context(), key, func(string, bool) (string, bool) { return "w", false }))
		}
		require.Equal(t, version, s.Version("k"))
		require.Equal(t, map[string]string{"k": "v"}, s.Snapshot())
		require.Equal(t, uint64(1), s.Stats().WritesLocal)
	})
}

// If fn panics nothing is written, and the panic is returned as an error.
func TestUpdateReturnsAPanicAndWritesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		version := s.Version("k")
		for name, fn := range map[string]func(string, bool) (string, bool){
			"panic": func(string, bool) (string, bool) { panic("boom") },
			"nil":   nil,
		} {
			err := s.Update(t.Context(), "k", fn)
			require.ErrorIs(t, err, podshare.ErrPanic, name)
			var ke *podshare.KeyError
			require.ErrorAs(t, err, &ke, name)
			require.Equal(t, "k", ke.Key, name)
			require.Equal(t, version, s.Version("k"), name)
		}
		require.NoError(t, s.Set(t.Context(), "k", "w"), "no lock is held")
	})
}

// Errors of Update are those of Set: with any but ErrBroadcast nothing was changed.
func TestUpdateWithAnErrorChangesNothing(t *testing.T) {
	limits := podshare.Limits{KeyBytes: 10, ValueBytes: 12, Keys: 1}
	returns := func(v any) func(any, bool) (any, bool) { return func(any, bool) (any, bool) { return v, true } }
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		key  string
		ctx  context.Context
		fn   func(any, bool) (any, bool)
		want error
	}{
		"empty key":       {"", staying, nil, podshare.ErrEmptyKey},
		"long key":        {strings.Repeat("k", 11), staying, nil, podshare.ErrTooLarge},
		"large value":     {"k", staying, returns(strings.Repeat("v", 11)), podshare.ErrTooLarge},
		"too many keys":   {"other", staying, returns("w"), podshare.ErrTooMany},
		"ended ctx":       {"k", ended, nil, context.Canceled},
		"not for a codec": {"k", staying, returns(func() {}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := openOf(t, newMemory(t), "a", podshare.WithLimits[any](limits))
				require.NoError(t, s.Set(t.Context(), "k", "v"))
				err := s.Update(c.ctx, c.key, c.fn)
				require.Error(t, err)
				require.NotErrorIs(t, err, podshare.ErrPanic, "fn is not called in vain")
				if c.want != nil {
					require.ErrorIs(t, err, c.want)
				}
				require.Equal(t, map[string]any{"k": "v"}, s.Snapshot())
				require.Equal(t, uint64(1), s.Stats().WritesLocal)
			})
		})
	}
}

// What ends while fn is at work ends the Update, too.
func TestUpdateEndsWithCtxAndStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, s.Update(ctx, "k", func(string, bool) (string, bool) { cancel(); return "v", true }), context.Canceled)
		require.ErrorIs(t, s.Update(t.Context(), "k", func(string, bool) (string, bool) {
			require.NoError(t, s.Close())
			return "v", true
		}), podshare.ErrClosed)
		require.ErrorIs(t, s.Update(t.Context(), "k", nil), podshare.ErrClosed)
		requireAbsent(t, s, "k")
	})
}

// While others write the key faster than fn computes, Update goes on trying, until its ctx ends.
func TestUpdateOfAKeyThatAlwaysChangesEndsWithItsCtx(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		slow := func(old int, _ bool) (int, bool) {
			time.Sleep(10 * time.Millisecond) // others are faster
			return -old, true
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := s.Set(staying, "k", i); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
			}
		})
		require.ErrorIs(t, s.Update(ctx, "k", slow), context.DeadlineExceeded)
		writer.Wait()
		last, _ := s.Get("k")
		require.Positive(t, last, "the writer's, not that of the Update")
		require.NoError(t, s.Update(t.Context(), "k", slow))
		requireHolds(t, s, "k", -last)
	})
}

// Of concurrent updates on two pods the newest remains, on both.
func TestNewestOfConcurrentUpdatesRemains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", "0"))
		pass(healing)
		net.Cut("a")
		with := func(s *podshare.Store[string], c string) {
			require.NoError(t, s.Update(t.Context(), "k", func(old string, _ bool) (string, bool) { return old + c, true }))
		}
		with(b, "b")
		pass(time.Second)
		with(a, "a")
		with(a, "a")
		net.Heal()
		pass(healing)
		requireSame(t, a, b)
		requireHolds(t, b, "k", "0aa")
	})
}

// With ErrBroadcast the update was made.
func TestUpdateThatCannotBeSentStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		down := errors.New("down")
		var fails atomic.Bool
		tr.onPublish = func(ctx context.Context, topic string, msg []byte) error {
			if fails.Load() {
				return down
			}
			return tr.Transport.Publish(ctx, topic, msg)
		}
		s := openOf[int](t, tr, "a")
		fails.Store(true)
		err := s.Update(t.Context(), "n", increment)
		require.ErrorIs(t, err, podshare.ErrBroadcast)
		require.ErrorIs(t, err, down)
		requireHolds(t, s, "n", 1)
		gone, err := s.TryDelete(t.Context(), "n", s.Version("n"))
		require.ErrorIs(t, err, podshare.ErrBroadcast)
		require.True(t, gone, "with ErrBroadcast the result is valid")
		requireAbsent(t, s, "n")
		fails.Store(false)
	})
}

// With a Merger counters of several pods lose nothing either: each pod counts its own, readers add up.
func TestUpdateCountsOnSeveralPodsWithAMerger(t *testing.T) {
	most := func(existing, incoming map[string]int) map[string]int {
		for pod, n := range existing {
			incoming[pod] = max(incoming[pod], n)
		}
		return incoming
	}
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := openOf(t, tr, "a", podshare.WithMerger(most)), openOf(t, tr, "b", podshare.WithMerger(most))
		const callers, each = 4, 25
		var all sync.WaitGroup
		for _, s := range []*podshare.Store[map[string]int]{a, b} {
			for range callers {
				all.Go(func() {
					for range each {
						err := s.Update(staying, "n", func(old map[string]int, _ bool) (map[string]int, bool) {
							return map[string]int{s.NodeID(): old[s.NodeID()] + 1}, true
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		pass(healing)
		requireHolds(t, a, "n", map[string]int{"a": callers * each, "b": callers * each})
		requireSame(t, a, b)
	})
}

// clock is a time of day that a test sets forward, without anything else happening.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// A key that expires while fn is at work does not exist, when fn is called again.
func TestUpdateOfAKeyThatExpiresMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c clock
		s := open(t, newMemory(t), "a", podshare.WithClock[string](c.now))
		require.NoError(t, s.SetTTL(t.Context(), "k", "old", time.Minute))
		synctest.Wait() // else the store, still at work, may find it expired by itself, and fn be called once more
		var seen []string
		require.NoError(t, s.Update(t.Context(), "k", func(old string, exists bool) (string, bool) {
			require.Equal(t, exists, old != "")
			if seen = append(seen, old); exists {
				c.forward(time.Minute)
			}
			return old + "new", true
		}))
		require.Equal(t, []string{"old", ""}, seen)
		c.forward(time.Hour)
		pass(time.Hour)
		requireHolds(t, s, "k", "new") // a new key gets what Set would give it: no deadline
	})
}

// Update and TrySet keep a deadline.
func TestUpdateKeepsTheDeadline(t *testing.T) {
	for name, write := range map[string]func(s *podshare.Store[string]) error{
		"Update": func(s *podshare.Store[string]) error {
			return s.Update(staying, "k", func(string, bool) (string, bool) { return "w", true })
		},
		"TrySet": func(s *podshare.Store[string]) error { return second(s.TrySet(staying, "k", "w", s.Version("k"))) },
	} {
		for merges, opts := range map[string][]podshare.Option[string]{
			"newest wins": nil,
			"merger":      {podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) })},
		} {
			t.Run(name+", "+merges, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					tr := newMemory(t)
					a, b := open(t, tr, "a", opts...), open(t, tr, "b", opts...)
					require.NoError(t, a.SetTTL(t.Context(), "k", "v", time.Minute))
					pass(time.Minute / 2)
					require.NoError(t, write(a))
					pass(time.Minute/2 - time.Second)
					requireHolds(t, a, "k", "w")
					requireHolds(t, b, "k", "w")
					pass(time.Second)
					requireAbsent(t, a, "k")
					requireAbsent(t, b, "k")
				})
			})
		}
	}
}

// With a Merger a store that has written nothing of the key itself keeps the deadline of those who have: the latest.
func TestUpdateKeepsTheDeadlineOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		merger := podshare.WithMerger(func(existing, incoming string) string { return max(existing, incoming) })
		a, b, c := open(t, tr, "a", merger), open(t, tr, "b", merger), open(t, tr, "c", merger)
		require.NoError(t, a.SetTTL(t.Context(), "k", "v", time.Minute))
		require.NoError(t, b.SetTTL(t.Context(), "k", "v", time.Hour))
		synctest.Wait()
		for range 2 { // the second time its own
			require.NoError(t, c.Update(t.Context(), "k", func(string, bool) (string, bool) { return "w", true }))
		}
		pass(time.Hour - time.Second)
		requireHolds(t, a, "k", "w")
		pass(time.Second)
		requireAbsent(t, a, "k")
		requireAbsent(t, c, "k")

		require.NoError(t, a.SetTTL(t.Context(), "l", "v", time.Minute))
		require.NoError(t, b.Set(t.Context(), "l", "v"))
		synctest.Wait()
		require.NoError(t, c.Update(t.Context(), "l", func(string, bool) (string, bool) { return "w", true }))
		pass(time.Hour)
		requireHolds(t, a, "l", "w")
	})
}

// Update and TrySet keep a key owned, and make it the writer's own.
func TestUpdateKeepsAnOwnedKeyOwned(t *testing.T) {
	for name, write := range map[string]func(s *podshare.Store[string]) error{
		"Update": func(s *podshare.Store[string]) error {
			return s.Update(staying, "k", func(old string, _ bool) (string, bool) { return old + "w", true })
		},
		"TrySet": func(s *podshare.Store[string]) error { return second(s.TrySet(staying, "k", "vw", s.Version("k"))) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := newMemory(t)
				a, b, c := open(t, tr, "a"), open(t, tr, "b"), open(t, tr, "c")
				require.NoError(t, a.SetOwned(t.Context(), "k", "v"))
				pass(healing)
				require.NoError(t, write(b))
				pass(healing)
				require.NoError(t, a.Close())
				pass(healing)
				requireHolds(t, c, "k", "vw")
				require.NoError(t, b.Close())
				pass(healing)
				requireAbsent(t, c, "k")
			})
		})
	}
}

// With a Merger it is this store's part whose deadline is kept, not that of a part that is over: what is written then
// would be over, too.
func TestUpdateKeepsNoDeadlineThatHasPassed(t *testing.T) {
	union := func(existing, incoming map[string]bool) map[string]bool {
		maps.Copy(existing, incoming)
		return existing
	}
	bubble(t, func(t *testing.T) {
		var c clock
		tr := newMemory(t)
		a := openOf(t, tr, "a", podshare.WithMerger(union), podshare.WithClock[map[string]bool](c.now))
		b := openOf(t, tr, "b", podshare.WithMerger(union))
		require.NoError(t, a.SetTTL(t.Context(), "k", map[string]bool{"passing": true}, time.Second/2))
		require.NoError(t, b.Set(t.Context(), "k", map[string]bool{"lasting": true}))
		synctest.Wait()
		c.forward(time.Second / 2)
		require.NoError(t, a.Update(t.Context(), "k", func(old map[string]bool, _ bool) (map[string]bool, bool) {
			require.Equal(t, map[string]bool{"lasting": true}, old)
			return map[string]bool{"new": true}, true
		}))
		requireHolds(t, a, "k", map[string]bool{"lasting": true, "new": true})
		pass(time.Minute)
		requireHolds(t, a, "k", map[string]bool{"lasting": true, "new": true})
		requireSame(t, a, b)
	})
}

// A key that expires between the look at its version and the write keeps its deadline: it was there. The deadline
// passes after each of the looks at the clock that a TrySet takes, in turn.
func TestTrySetAtTheDeadlineDoesNotMakeTheKeyLast(t *testing.T) {
	for n := range int64(10) { // TrySet takes fewer
		var c clock
		looks := new(atomic.Int64) // until the deadline has passed
		looks.Store(1 << 30)
		bubble(t, func(t *testing.T) {
			s := open(t, newMemory(t), "a", podshare.WithClock[string](func() time.Time {
				if looks.Add(-1) == -1 {
					c.forward(time.Minute)
				}
				return c.now()
			}))
			require.NoError(t, s.SetTTL(t.Context(), "k", "v", time.Minute))
			version := s.Version("k")
			synctest.Wait()
			looks.Store(n)
			_, err := s.TrySet(t.Context(), "k", "w", version)
			require.NoError(t, err)
			pass(time.Minute)
			requireAbsent(t, s, "k")
		})
	}
}

func TestTryDeleteGuardsByVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		try := func(prev podshare.Version) bool {
			t.Helper()
			won, err := a.TryDelete(t.Context(), "k", prev)
			require.NoError(t, err)
			return won
		}
		require.False(t, try(podshare.Version{}), "there is nothing")
		require.NoError(t, a.Set(t.Context(), "k", "1"))
		first := a.Version("k")
		require.False(t, try(podshare.Version{}), "with a prev of which Exists is false nobody wins")
		require.NoError(t, a.Set(t.Context(), "k", "2"))
		require.False(t, try(first), "it has changed")
		last := a.Version("k")
		require.True(t, try(last))
		require.False(t, try(last), "it is gone")
		require.False(t, try(a.Version("k")), "it is gone, and its version says so")
		synctest.Wait()
		requireAbsent(t, b, "k")
		require.NoError(t, a.Set(t.Context(), "k", "2"))
		require.False(t, try(last), "it came again, under another version")
		requireHolds(t, a, "k", "2")
	})
}

// Of eight concurrent calls of TryDelete with one prev exactly one wins.
func TestOneOfConcurrentTryDeletesWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := openOf[int](t, newMemory(t), "a")
		for round := range 50 {
			require.NoError(t, s.Set(t.Context(), "k", round))
			prev := s.Version("k")
			var wins atomic.Int32
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() {
					won, err := s.TryDelete(staying, "k", prev)
					if err != nil {
						t.Error(err)
					}
					if won {
						wins.Add(1)
					}
				})
			}
			callers.Wait()
			require.Equal(t, int32(1), wins.Load())
			requireAbsent(t, s, "k")
		}
	})
}

func TestTryDeleteWithAnErrorDeletesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithLimits[string](podshare.Limits{Keys: 1, KeyBytes: 10}))
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		version := s.Version("k")
		ended, end := context.WithCancel(t.Context())
		end()
		for name, c := range map[string]struct {
			ctx  context.Context
			key  string
			want error
		}{
			"empty key": {staying, "", podshare.ErrEmptyKey},
			"long key":  {staying, strings.Repeat("k", 11), podshare.ErrTooLarge},
			"ended ctx": {ended, "k", context.Canceled},
		} {
			won, err := s.TryDelete(c.ctx, c.key, version)
			require.ErrorIs(t, err, c.want, name)
			require.False(t, won, name)
		}
		requireHolds(t, s, "k", "v")
		won, err := s.TryDelete(staying, "k", version)
		require.NoError(t, err, "a store that is full can delete")
		require.True(t, won)
		require.NoError(t, s.Set(staying, "k", "v"))
		require.NoError(t, s.Close())
		require.ErrorIs(t, second(s.TryDelete(staying, "k", s.Version("k"))), podshare.ErrClosed)
		require.ErrorIs(t, second(s.TryDelete(staying, "k", podshare.Version{})), podshare.ErrClosed)
		requireHolds(t, s, "k", "v")
	})
}

// What is past its deadline is not there to be deleted.
func TestTryDeleteOfAnExpiredKeyLoses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c clock
		s := open(t, newMemory(t), "a", podshare.WithClock[string](c.now))
		require.NoError(t, s.SetTTL(t.Context(), "k", "v", time.Minute))
		version := s.Version("k")
		c.forward(time.Minute)
		won, err := s.TryDelete(t.Context(), "k", version)
		require.NoError(t, err)
		require.False(t, won)
	})
}

// A TrySet that lost wrote nothing, so a full store is no error of it.
func TestTrySetThatLosesOnAFullStoreIsNoError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithLimits[string](podshare.Limits{Keys: 1}))
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		won, err := s.TrySet(t.Context(), "new", "v", podshare.Version{Exists: true})
		require.NoError(t, err)
		require.False(t, won)
		_, err = s.TrySet(t.Context(), "new", "v", podshare.Version{})
		require.ErrorIs(t, err, podshare.ErrTooMany)
	})
}
