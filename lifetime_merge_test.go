package podshare_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

type set = []string

// unionPair is two stores with a Merger of unions, the first with a clock of its own, which have met.
func unionPair(t testing.TB, opts ...podshare.Option[set]) (net *transporttest.Network, clock *offClock, a, b *podshare.Store[set]) {
	t.Helper()
	net, clock = newNetwork(t, 1), &offClock{}
	a = openUnion(t, net.Pod("a"), "a", append(opts, podshare.WithClock[set](clock.now))...)
	b = openUnion(t, net.Pod("b"), "b", opts...)
	pass(threeHeartbeats)
	return net, clock, a, b
}

// requireReads fails unless every way of reading shows this value.
func requireReads(t testing.TB, s *podshare.Store[set], key string, want set) {
	t.Helper()
	requireHolds(t, s, key, want)
	got, ok := s.Ref(key).Get()
	require.True(t, ok)
	require.Equal(t, want, got)
	require.Equal(t, want, s.Snapshot()[key])
	require.True(t, s.Version(key).Exists)
	require.Len(t, s.Keys(), s.Len())
}

// With a Merger what one store wrote expires by itself, and is not read from its deadline on, before any tick.
func TestPartExpiresWhileThoseOfOthersStay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, clock, a, b := unionPair(t)
		require.NoError(t, b.Set(t.Context(), "k", set{"b"}))
		require.NoError(t, a.SetTTL(t.Context(), "k", set{"a"}, 10*time.Second))
		require.NoError(t, a.SetTTL(t.Context(), "alone", set{"a"}, 10*time.Second))
		pass(time.Second)
		ea, eb := a.Watch(t.Context()), b.Watch(t.Context())
		requireReads(t, a, "k", set{"a", "b"})
		clock.set(9 * time.Second)
		requireReads(t, a, "k", set{"b"})
		requireUnserved(t, a, "alone")
		require.Equal(t, 1, a.Len())
		clock.set(0)
		requireReads(t, b, "k", set{"a", "b"})
		pass(9 * time.Second)
		for _, s := range []*podshare.Store[set]{a, b} {
			requireReads(t, s, "k", set{"b"})
			requireUnserved(t, s, "alone")
		}
		for _, events := range []<-chan podshare.Event[set]{ea, eb} {
			told, _ := drain(events)
			require.Len(t, told, 2)
			for _, ev := range told {
				if ev.Key == "k" {
					require.Equal(t, podshare.EventSet, ev.Kind)
					require.Equal(t, set{"b"}, ev.Value)
				} else {
					require.Equal(t, podshare.EventExpire, ev.Kind)
				}
			}
		}
	})
}

// With a Merger all that a store wrote of the key has the latest of its deadlines, and none is the latest.
func TestPartHasTheLatestOfItsDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, _, a, b := unionPair(t)
		for _, ttls := range [][]int{{10, 60}, {60, 10}} {
			for i, ttl := range ttls {
				require.NoError(t, a.SetTTL(t.Context(), "later", set{string(rune('1' + i))}, time.Duration(ttl)*time.Second))
			}
		}
		require.NoError(t, a.SetTTL(t.Context(), "none", set{"1"}, 10*time.Second))
		require.NoError(t, a.Set(t.Context(), "none", set{"2"}))
		require.NoError(t, a.Set(t.Context(), "none before", set{"1"}))
		require.NoError(t, a.SetTTL(t.Context(), "none before", set{"2"}, 10*time.Second))
		require.NoError(t, a.SetTTL(t.Context(), "over", set{"1"}, time.Second))
		pass(59 * time.Second)
		require.NoError(t, a.SetTTL(t.Context(), "over", set{"2"}, time.Minute))
		synctest.Wait()
		for _, s := range []*podshare.Store[set]{a, b} {
			requireReads(t, s, "later", set{"1", "2"})
			requireReads(t, s, "none", set{"1", "2"})
			requireReads(t, s, "none before", set{"1", "2"})
			requireReads(t, s, "over", set{"2"}) // what is over does not come back
		}
		pass(time.Second)
		for _, s := range []*podshare.Store[set]{a, b} {
			requireUnserved(t, s, "later")
		}
		pass(time.Hour)
		for _, s := range []*podshare.Store[set]{a, b} {
			require.Equal(t, map[string]set{"none": {"1", "2"}, "none before": {"1", "2"}}, s.Snapshot())
		}
	})
}

// TrySet and Update after this store's part is over, and before any tick, are not over with it: what others hold is there,
// so the key is, but there is no deadline to keep.
func TestWriteAfterTheOwnPartIsOverIsNotOverWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, clock, a, b := unionPair(t)
		require.NoError(t, b.Set(t.Context(), "tried", set{"b"}))
		require.NoError(t, b.Set(t.Context(), "updated", set{"b"}))
		pass(time.Second)
		require.NoError(t, a.SetTTL(t.Context(), "tried", set{"a"}, 10*time.Second))
		require.NoError(t, a.SetTTL(t.Context(), "updated", set{"a"}, 10*time.Second))
		synctest.Wait()
		clock.set(10 * time.Second)
		won, err := a.TrySet(t.Context(), "tried", set{"new"}, a.Version("tried"))
		require.NoError(t, err)
		require.True(t, won)
		require.NoError(t, a.Update(t.Context(), "updated", func(old set, exists bool) (set, bool) {
			require.Equal(t, set{"b"}, old)
			return set{"new"}, exists
		}))
		requireReads(t, a, "tried", set{"b", "new"})
		requireReads(t, a, "updated", set{"b", "new"})
		pass(time.Hour)
		requireReads(t, b, "tried", set{"b", "new"})
		requireReads(t, b, "updated", set{"b", "new"})
	})
}

// With a Merger it is this store's contribution that lasts as long as the store, unless a part of it was set to stay.
func TestOwnedPartLapsesAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, _, a, b := unionPair(t)
		require.NoError(t, a.Set(t.Context(), "k", set{"a"}))
		require.NoError(t, b.SetOwned(t.Context(), "k", set{"b"}))
		require.NoError(t, b.SetOwned(t.Context(), "alone", set{"b"}))
		require.NoError(t, b.Set(t.Context(), "kept", set{"stays"}))
		require.NoError(t, b.SetOwned(t.Context(), "kept", set{"owned"}))
		pass(time.Second)
		ea, eb := a.Watch(t.Context(), podshare.WatchKey("k")), b.Watch(t.Context())
		requireReads(t, a, "k", set{"a", "b"})
		net.Cut("b")
		for a.Version("alone").Exists {
			time.Sleep(777 * time.Microsecond)
		}
		requireReads(t, a, "k", set{"a"}) // at the same moment
		requireReads(t, b, "k", set{"a", "b"})
		requireReads(t, a, "kept", set{"owned", "stays"})
		requireUnserved(t, a, "alone")
		pass(time.Minute)
		net.Heal()
		pass(2 * healing)
		requireReads(t, a, "k", set{"a", "b"})
		requireReads(t, a, "alone", set{"b"})
		require.Equal(t, []podshare.EventKind{podshare.EventSet, podshare.EventSet}, kinds(t, ea, "k"))
		told, _ := drain(eb)
		require.Empty(t, told)
		require.NoError(t, b.Close())
		synctest.Wait()
		requireReads(t, a, "k", set{"a"})
		requireReads(t, a, "kept", set{"owned", "stays"})
		requireUnserved(t, a, "alone")
	})
}

// Keys that come back are as they were, also with a Merger that is not idempotent.
func TestMergerSeesNoKeyThatIsWrittenAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		sum := podshare.WithMerger(func(x, y int) int { return x + y })
		a, b := openOf(t, net.Pod("a"), "a", sum), openOf(t, net.Pod("b"), "b", sum)
		pass(threeHeartbeats)
		require.NoError(t, a.Set(t.Context(), "k", 1))
		require.NoError(t, b.SetOwned(t.Context(), "k", 10))
		pass(time.Second)
		for range 3 {
			net.Cut("b")
			pass(2 * lease)
			requireHolds(t, a, "k", 1)
			net.Heal()
			pass(2 * healing)
			requireHolds(t, a, "k", 11)
			requireHolds(t, b, "k", 11)
		}
	})
}

// A pod that starts serves what others hold of a key, and hears of the owned part when it hears its owner.
func TestPartOfAnOwnerIsToldWhenItIsHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, _, a, b := unionPair(t)
		require.NoError(t, a.Set(t.Context(), "k", set{"a"}))
		require.NoError(t, b.SetOwned(t.Context(), "k", set{"b"}))
		require.NoError(t, b.SetOwned(t.Context(), "alone", set{"b"}))
		pass(5 * time.Second)
		net.CutOneWay("b", "j")
		j := openUnion(t, net.Pod("j"), "j")
		events := j.Watch(t.Context(), podshare.WatchInitial())
		pass(5 * time.Second)
		requireReads(t, j, "k", set{"a"})
		requireUnserved(t, j, "alone")
		told, _ := drain(events)
		require.Len(t, told, 2) // k and EventSynced
		net.Heal()
		pass(2 * time.Second)
		requireReads(t, j, "k", set{"a", "b"})
		requireReads(t, j, "alone", set{"b"})
		told, _ = drain(events)
		require.Len(t, told, 2)
		slices.SortFunc(told, func(x, y podshare.Event[set]) int { return len(x.Key) - len(y.Key) })
		require.Equal(t, set{"a", "b"}, told[0].Value)
		require.Equal(t, podshare.EventSet, told[1].Kind)
	})
}

// A Merger that panics on what remains when a part is over does not keep it served, and is reported once.
func TestMergerThatPanicsOnWhatRemainsIsReportedOnce(t *testing.T) {
	for _, how := range []string{"expires", "lapses"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				var errs errorLog
				var calls atomic.Int64
				picky := podshare.WithMerger(func(x, y set) set { // the parts come in the order a, b, c
					calls.Add(1)
					if slices.Equal(x, set{"a"}) && slices.Equal(y, set{"c"}) {
						panic("a without b")
					}
					return union(x, y)
				})
				a := openOf(t, net.Pod("a"), "a", picky, podshare.WithErrorHandler[set](errs.add))
				b, c := openOf(t, net.Pod("b"), "b", picky), openOf(t, net.Pod("c"), "c", picky)
				pass(threeHeartbeats)
				require.NoError(t, a.Set(t.Context(), "k", set{"a"}))
				pass(time.Millisecond)
				if how == "expires" {
					require.NoError(t, b.SetTTL(t.Context(), "k", set{"b"}, 10*time.Second))
				} else {
					require.NoError(t, b.SetOwned(t.Context(), "k", set{"b"}))
				}
				pass(time.Millisecond)
				require.NoError(t, c.Set(t.Context(), "k", set{"c"}))
				pass(time.Second)
				requireReads(t, a, "k", set{"a", "b", "c"})
				events := a.Watch(t.Context())
				if how == "lapses" {
					require.NoError(t, b.Close())
					synctest.Wait()
				} else {
					time.Sleep(9 * time.Second) // to before the tick or after it
				}
				requireReads(t, a, "k", set{"a"})
				pass(time.Second)
				require.Equal(t, toldSet, kinds(t, events, "k"))
				before := calls.Load()
				pass(time.Minute)
				require.Equal(t, 1, errs.count(nil))
				require.Equal(t, "k", errs.keyOf(nil))
				require.Equal(t, before, calls.Load())
				requireReads(t, a, "k", set{"a"})
				require.NoError(t, a.Delete(t.Context(), "k"))
				requireUnserved(t, a, "k")
			})
		})
	}
}

// With a Merger what a store wrote both with a TTL and as owned lasts as long as the store; a lasting Set outlasts both.
func TestPartLastsAsLongAsWhatLastsLongestOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, _, a, b := unionPair(t)
		require.NoError(t, a.SetOwned(t.Context(), "owned, TTL", set{"o"}))
		require.NoError(t, a.SetTTL(t.Context(), "owned, TTL", set{"t"}, time.Second))
		require.NoError(t, a.SetTTL(t.Context(), "TTL, owned", set{"t"}, time.Second))
		require.NoError(t, a.SetOwned(t.Context(), "TTL, owned", set{"o"}))
		require.NoError(t, a.Set(t.Context(), "set, owned", set{"s"}))
		require.NoError(t, a.SetOwned(t.Context(), "set, owned", set{"o"}))
		pass(time.Minute)
		require.Equal(t, map[string]set{"owned, TTL": {"o", "t"}, "TTL, owned": {"o", "t"}, "set, owned": {"o", "s"}}, b.Snapshot())
		require.NoError(t, a.Close())
		pass(time.Second)
		require.Equal(t, map[string]set{"set, owned": {"o", "s"}}, b.Snapshot())
	})
}
