package podshare_test

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
)

// offClock is a time of day that a test sets apart from the machine's. Set on its own, it passes deadlines without
// that any time passes in which a tick could come.
type offClock struct{ by atomic.Int64 }

func (c *offClock) now() time.Time        { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *offClock) set(off time.Duration) { c.by.Store(int64(off)) }

func (c *offClock) to() podshare.Option[string] { return podshare.WithClock[string](c.now) }

// requireUnserved fails if any way of reading shows the key.
func requireUnserved[T any](t testing.TB, s *podshare.Store[T], key string) {
	t.Helper()
	requireAbsent(t, s, key)
	_, ok := s.Ref(key).Get()
	require.False(t, ok, "%s: Ref", s.NodeID())
	require.False(t, s.Version(key).Exists, "%s: Version", s.NodeID())
	require.NotContains(t, s.Keys(), key, "%s: Keys", s.NodeID())
	require.NotContains(t, s.Snapshot(), key, "%s: Snapshot", s.NodeID())
	for k := range s.All() {
		require.NotEqual(t, key, k, "%s: All", s.NodeID())
	}
	require.Len(t, s.Keys(), s.Len(), "%s: Len", s.NodeID())
	require.Equal(t, s.Len(), s.Stats().Keys, "%s: Stats.Keys", s.NodeID())
}

// kinds returns what was told of a key, in order.
func kinds[T any](t testing.TB, events <-chan podshare.Event[T], key string) []podshare.EventKind {
	t.Helper()
	got, open := drain(events)
	require.True(t, open, "the watcher was closed")
	var of []podshare.EventKind
	for _, ev := range got {
		if ev.Key == key {
			of = append(of, ev.Kind)
		}
	}
	return of
}

var (
	toldSet    = []podshare.EventKind{podshare.EventSet}
	toldExpire = []podshare.EventKind{podshare.EventExpire}
	toldDelete = []podshare.EventKind{podshare.EventDelete}
)

// A key is served until its deadline and not from it on, also where no tick has come since.
func TestKeyIsNotServedPastItsDeadlineBeforeAnyTick(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var clock offClock
		s := open(t, newMemory(t), "a", clock.to())
		events := s.Watch(t.Context())
		require.NoError(t, s.Set(t.Context(), "stays", "v"))
		require.NoError(t, s.SetTTL(t.Context(), "k", "v", 10*time.Second))
		ref := s.Ref("k")
		synctest.Wait()
		_, _ = drain(events)
		clock.set(10*time.Second - 1)
		requireHolds(t, s, "k", "v")
		require.Equal(t, 2, s.Len())
		require.True(t, s.Version("k").Exists)

		clock.set(10 * time.Second)
		_, ok := ref.Get()
		require.False(t, ok)
		requireUnserved(t, s, "k")
		require.Equal(t, 1, s.Len())
		won, err := s.TrySet(t.Context(), "k", "wrong", podshare.Version{Exists: true})
		require.NoError(t, err)
		require.False(t, won)
		pass(2 * time.Second)
		require.Equal(t, toldExpire, kinds(t, events, "k"))
		requireUnserved(t, s, "k")
	})
}

// TrySet of an absent key wins from the deadline on.
func TestTrySetOfAnAbsentKeyWinsFromTheDeadlineOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var clock offClock
		s := open(t, newMemory(t), "a", clock.to())
		require.NoError(t, s.SetTTL(t.Context(), "k", "v", 10*time.Second))
		synctest.Wait()
		clock.set(10*time.Second - 1)
		won, err := s.TrySet(t.Context(), "k", "new", podshare.Version{})
		require.NoError(t, err)
		require.False(t, won)
		clock.set(10 * time.Second)
		won, err = s.TrySet(t.Context(), "k", "new", podshare.Version{})
		require.NoError(t, err)
		require.True(t, won)
		pass(time.Hour)
		requireHolds(t, s, "k", "new") // a new key: the deadline of the one before is not its
	})
}

// No pod serves a key past its deadline, and watchers get one EventExpire.
func TestExpiryIsToldOnceToEveryWatcherOfEveryPod(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var stores []*podshare.Store[string]
		var events []<-chan podshare.Event[string]
		for _, name := range []string{"a", "b", "c"} {
			s := open(t, net.Pod(name), name)
			stores = append(stores, s)
			events = append(events, s.Watch(t.Context()), s.Watch(t.Context(), podshare.WatchConflate()),
				s.Watch(t.Context(), podshare.WatchInitial()), s.Watch(t.Context(), podshare.WatchKey("k")))
		}
		pass(threeHeartbeats)
		require.NoError(t, stores[0].SetTTL(t.Context(), "k", "v", 10*time.Second))
		pass(9999 * time.Millisecond)
		for _, s := range stores {
			requireHolds(t, s, "k", "v")
		}
		for _, ch := range events {
			require.Equal(t, toldSet, kinds(t, ch, "k"))
		}
		time.Sleep(time.Millisecond)
		for _, s := range stores {
			requireUnserved(t, s, "k")
		}
		pass(time.Minute)
		for _, ch := range events {
			require.Equal(t, toldExpire, kinds(t, ch, "k"))
		}
	})
}

// A ttl that is not positive is an error, and changes nothing; the longest is as good as for ever.
func TestTTLBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Set(t.Context(), "k", "before"))
		before := s.Version("k")
		for _, ttl := range []time.Duration{0, -1, math.MinInt64} {
			require.Error(t, s.SetTTL(t.Context(), "k", "after", ttl))
			require.Error(t, s.SetTTL(t.Context(), "other", "after", ttl))
		}
		require.Equal(t, before, s.Version("k"))
		requireHolds(t, s, "k", "before")
		requireUnserved(t, s, "other")
		require.NoError(t, s.SetTTL(t.Context(), "k", "long", math.MaxInt64))
		pass(24 * time.Hour)
		requireHolds(t, s, "k", "long")
	})
}

// WithTTL sets how long what Set and SetMany store lasts, and what TrySet and Update store under a new key. Seeds last.
func TestDefaultTTLIsThatOfSetAndSetManyAndOfNewKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithTTL[string](time.Minute))
		require.NoError(t, s.Seed(map[string]string{"seed": "v"}))
		require.NoError(t, s.Set(t.Context(), "set", "v"))
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"many1": "v", "many2": "v"}))
		require.NoError(t, s.SetOwned(t.Context(), "owned", "v"))
		require.NoError(t, s.SetTTL(t.Context(), "longer", "v", time.Hour))
		_, err := s.TrySet(t.Context(), "tried", "v", podshare.Version{})
		require.NoError(t, err)
		require.NoError(t, s.Update(t.Context(), "updated", func(string, bool) (string, bool) { return "v", true }))
		pass(time.Minute - time.Nanosecond)
		require.Equal(t, 8, s.Len())
		pass(time.Nanosecond)
		keys := s.Keys()
		slices.Sort(keys)
		require.Equal(t, []string{"longer", "owned", "seed"}, keys)
	})
}

// SetMany is seen all or none, also where it ends: all keys of one have one deadline, though the clock goes on.
func TestKeysOfABatchHaveOneDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var clock offClock
		reading := func() time.Time {
			clock.by.Add(int64(time.Microsecond)) // each reading takes some time
			return clock.now()
		}
		tr := &tap{Transport: newMemory(t)}
		s := open(t, tr, "a", podshare.WithTTL[string](time.Minute), podshare.WithClock[string](reading))
		require.NoError(t, s.SetMany(t.Context(), numbered(100, "v")))
		synctest.Wait()
		deadlines := map[int64]bool{}
		for _, frame := range tr.sent(t, wire.KindData) {
			for _, rec := range recordsOf(t, frame) {
				deadlines[rec.Deadline] = true
			}
		}
		require.Len(t, deadlines, 1)
	})
}

// Set and SetMany replace the deadline, by none; TrySet and Update keep it.
func TestSetReplacesADeadlineThatTrySetAndUpdateKeep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		for _, key := range []string{"set", "many", "tried", "updated"} {
			require.NoError(t, a.SetTTL(t.Context(), key, "v", time.Minute))
		}
		pass(time.Second)
		require.NoError(t, b.Set(t.Context(), "set", "w"))
		require.NoError(t, b.SetMany(t.Context(), map[string]string{"many": "w", "more": "w"}))
		won, err := b.TrySet(t.Context(), "tried", "w", b.Version("tried"))
		require.NoError(t, err)
		require.True(t, won)
		require.NoError(t, b.Update(t.Context(), "updated", func(old string, exists bool) (string, bool) {
			require.True(t, exists)
			return old + "w", true
		}))
		pass(59*time.Second - time.Nanosecond)
		for _, s := range []*podshare.Store[string]{a, b} {
			require.Equal(t, 5, s.Len())
			requireHolds(t, s, "tried", "w")
			requireHolds(t, s, "updated", "vw")
		}
		pass(time.Nanosecond)
		for _, s := range []*podshare.Store[string]{a, b} {
			require.Equal(t, map[string]string{"set": "w", "many": "w", "more": "w"}, s.Snapshot())
		}
	})
}

// To renew is to set again: no expiry is told in between, and one at the end.
func TestRenewedKeyExpiresOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		events := b.Watch(t.Context(), podshare.WatchKey("k"))
		for i := range 100 {
			require.NoError(t, a.SetTTL(t.Context(), "k", fmt.Sprint(i), 10*time.Second))
			pass(9 * time.Second)
			requireHolds(t, b, "k", fmt.Sprint(i))
			require.Equal(t, toldSet, kinds(t, events, "k"))
		}
		pass(time.Second)
		require.Equal(t, toldExpire, kinds(t, events, "k"))
		requireUnserved(t, a, "k")
		pass(time.Hour)
		require.Empty(t, kinds(t, events, "k"))
	})
}

// A deadline comes with the key, by repair, by the stored snapshot, and after a restart under the same name.
func TestDeadlineComesWithTheKey(t *testing.T) {
	for _, by := range []string{"repair", "snapshot", "restart"} {
		t.Run(by, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a := open(t, net.Pod("a"), "a")
				require.NoError(t, a.SetTTL(t.Context(), "k", "v", time.Minute))
				require.NoError(t, a.SetTTL(t.Context(), "soon over", "v", 10*time.Second))
				pass(9 * time.Second)
				name := "b"
				switch by {
				case "repair":
					net.FlushStore()
				case "snapshot":
					require.NoError(t, a.Close())
				case "restart":
					require.NoError(t, a.Close())
					pass(2 * time.Second) // while nobody is there
					name = "a"
				}
				b := open(t, net.Pod(name), name)
				events := b.Watch(t.Context(), podshare.WatchInitial(), podshare.WatchKey("k"))
				if by != "restart" {
					pass(time.Second - time.Nanosecond)
					requireHolds(t, b, "soon over", "v")
					pass(time.Nanosecond)
				}
				requireUnserved(t, b, "soon over")
				pass(48 * time.Second)
				requireHolds(t, b, "k", "v")
				pass(2 * time.Second)
				requireUnserved(t, b, "k")
				told, _ := drain(events)
				require.Equal(t, podshare.EventExpire, told[len(told)-1].Kind)
				pass(time.Hour)
				require.Empty(t, kinds(t, events, "k"))
			})
		})
	}
}

// Every pod judges a deadline by its own clock: clocks that differ move it by as much.
func TestClocksThatDifferMoveADeadlineByAsMuch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var behind offClock
		behind.set(-30 * time.Second)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b", behind.to())
		pass(threeHeartbeats)
		events := b.Watch(t.Context())
		require.NoError(t, a.SetTTL(t.Context(), "k", "v", time.Minute))
		pass(time.Minute)
		requireUnserved(t, a, "k")
		requireHolds(t, b, "k", "v")
		pass(30*time.Second - time.Nanosecond)
		requireHolds(t, b, "k", "v")
		requireUnserved(t, a, "k") // however often the two have compared themselves
		pass(time.Nanosecond)
		requireUnserved(t, b, "k")
		require.Equal(t, append(toldSet, toldExpire...), kinds(t, events, "k"))
	})
}

// A clock that is off by more than the skew bound is overruled by the median of the live pods'.
func TestClockThatIsFarOffMovesNoDeadline(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				var wrong offClock
				wrong.set(off)
				a, b, c := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b"), open(t, net.Pod("c"), "c", wrong.to())
				stores := []*podshare.Store[string]{a, b, c}
				pass(2 * threeHeartbeats)
				require.NoError(t, a.SetTTL(t.Context(), "a's", "v", time.Minute))
				require.NoError(t, c.SetTTL(t.Context(), "c's", "v", time.Minute))
				pass(59 * time.Second)
				for _, s := range stores {
					require.Equal(t, 2, s.Len(), s.NodeID())
				}
				pass(2 * time.Second)
				for _, s := range stores {
					requireUnserved(t, s, "a's")
					requireUnserved(t, s, "c's")
				}
			})
		})
	}
}

// A key that has expired can be written and deleted like one that never was.
func TestWriteAndDeleteOfAnExpiredKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		require.NoError(t, a.SetTTL(t.Context(), "k", "old", time.Second))
		require.NoError(t, a.SetTTL(t.Context(), "d", "old", time.Second))
		pass(time.Minute)
		events := a.Watch(t.Context())
		require.NoError(t, b.Delete(t.Context(), "d"))
		require.NoError(t, b.Set(t.Context(), "k", "new"))
		require.NoError(t, b.Update(t.Context(), "d", func(old string, exists bool) (string, bool) {
			require.False(t, exists)
			require.Empty(t, old)
			return "", false
		}))
		pass(time.Hour)
		requireHolds(t, a, "k", "new")
		requireUnserved(t, a, "d")
		got, _ := drain(events)
		require.Len(t, got, 1)
		require.Equal(t, podshare.EventSet, got[0].Kind)
	})
}

// A key that is deleted before its deadline is told as deleted, and not as expired later.
func TestDeletedKeyDoesNotExpire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		require.NoError(t, a.SetTTL(t.Context(), "k", "v", time.Minute))
		pass(time.Second)
		ea, eb := a.Watch(t.Context()), b.Watch(t.Context())
		require.NoError(t, b.Delete(t.Context(), "k"))
		pass(time.Hour)
		require.Equal(t, toldDelete, kinds(t, ea, "k"))
		require.Equal(t, toldDelete, kinds(t, eb, "k"))
	})
}

// What expired is forgotten when the tombstone TTL has passed, like a delete.
func TestExpiredKeysAreForgottenAfterTheTombstoneTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		opts := []podshare.Option[string]{podshare.WithTombstoneTTL[string](10 * time.Minute), podshare.WithGCInterval[string](time.Minute)}
		a, b := open(t, net.Pod("a"), "a", opts...), open(t, net.Pod("b"), "b", opts...)
		pass(threeHeartbeats)
		const n = 3000 // more than one sweep
		for key := range numbered(n, "") {
			require.NoError(t, a.SetTTL(t.Context(), key, "v", time.Minute))
		}
		pass(2 * time.Minute)
		require.Equal(t, n, a.Stats().Tombstones)
		require.Equal(t, n, b.Stats().Tombstones)
		pass(8 * time.Minute)
		require.Equal(t, n, a.Stats().Tombstones, "age counts from the deadline")
		pass(4 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		require.Zero(t, b.Stats().Tombstones)
	})
}

// recordsOf returns the writes that a data frame carries.
func recordsOf(t testing.TB, frame []byte) []wire.Record {
	t.Helper()
	_, body, err := wire.Open(frame, wire.Limits{MaxFrame: 1 << 30})
	require.NoError(t, err)
	var m wire.Data
	require.NoError(t, m.Parse(body))
	return m.Records
}
