package podshare_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport/transporttest"
)

// requireAwait awaits n pods for at most d.
func requireAwait[T any](t testing.TB, s *podshare.Store[T], n int, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	require.NoError(t, s.Await(ctx, n))
}

// failsToAwait awaits n pods for d, in vain, and returns who holds everything.
func failsToAwait[T any](t testing.TB, s *podshare.Store[T], n int, d time.Duration) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	err := s.Await(ctx, n)
	var ae *podshare.AwaitError
	require.ErrorAs(t, err, &ae)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, n, ae.Want)
	return ae.Nodes
}

// holding counts the stores that hold a value under a key at this moment.
func holding(key, value string, stores ...*podshare.Store[string]) (n int) {
	for _, s := range stores {
		if got, ok := s.Get(key); ok && got == value {
			n++
		}
	}
	return n
}

// Await returns nil when n other pods hold every write made before the call, whatever the network does.
func TestAwaitReturnsWhenSoManyPodsHoldEveryWrite(t *testing.T) {
	for name, faults := range map[string]transporttest.Faults{
		"no fault":    {},
		"loss":        {Drop: 0.3},
		"duplicates":  {Duplicate: 0.5},
		"reordering":  {Reorder: 0.5, ReorderBy: 2 * time.Second},
		"delay":       {MinDelay: 100 * time.Millisecond, MaxDelay: 900 * time.Millisecond},
		"damage":      {Corrupt: 0.2},
		"all of that": {Drop: 0.2, Duplicate: 0.2, Corrupt: 0.1, Reorder: 0.2, MaxDelay: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				bubble(t, func(t *testing.T) {
					net := newNetwork(t, seed, transporttest.WithFaults(faults))
					a := open(t, net.Pod("a"), "a")
					others := []*podshare.Store[string]{open(t, net.Pod("b"), "b"), open(t, net.Pod("c"), "c"), open(t, net.Pod("d"), "d")}
					for i := range 20 {
						n := 1 + i%3
						key := fmt.Sprint(i)
						require.NoError(t, a.Set(t.Context(), key, "v"))
						requireAwait(t, a, n, time.Minute)
						require.GreaterOrEqual(t, holding(key, "v", others...), n, "write %d", i)
					}
				})
			}
		})
	}
}

// a ══╳══▶ b: what a writes and asks is lost, b's frames arrive
// b ══╳══▶ a: what b answers is lost.
func TestAwaitGoesOnWhenAOneWayCutIsHealed(t *testing.T) {
	for _, cut := range [][2]string{{"a", "b"}, {"b", "a"}} {
		t.Run("from "+cut[0], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
				pass(time.Second)
				net.CutOneWay(cut[0], cut[1])
				require.NoError(t, a.Set(t.Context(), "k", "v"))
				require.Empty(t, failsToAwait(t, a, 1, 2*time.Second))
				net.Heal()
				requireAwait(t, a, 1, healing)
				requireHolds(t, b, "k", "v")
			})
		})
	}
}

func TestAwaitSucceedsAfterAWriteThatCouldNotBeSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(time.Second)
		net.SetPodFaults("a", transporttest.PodFaults{PublishError: 1})
		require.ErrorIs(t, a.Set(t.Context(), "k", "v"), podshare.ErrBroadcast)
		require.Empty(t, failsToAwait(t, a, 1, time.Second))
		net.Calm()
		requireAwait(t, a, 1, healing)
		requireHolds(t, b, "k", "v")
	})
}

func TestAwaitOfSeedsWaitsUntilTheyAreRepaired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(time.Second)
		require.NoError(t, a.Seed(map[string]string{"k": "seed"}))
		requireAwait(t, a, 1, time.Second)
		requireHolds(t, b, "k", "seed")
	})
}

// With fewer pods than n Await waits for more to come, and hears of one at once.
func TestAwaitOfMorePodsThanThereAreWaitsUntilOneJoins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.Equal(t, []string{"b"}, failsToAwait(t, a, 2, time.Minute))
		done := make(chan error, 1)
		go func() { done <- a.Await(t.Context(), 2) }()
		pass(10 * time.Minute)
		require.Empty(t, done)
		net.FlushStore()
		c := open(t, net.Pod("c"), "c")
		pass(exchange)
		require.Len(t, done, 1, "c is asked when it comes")
		require.NoError(t, <-done)
		require.Equal(t, 2, holding("k", "v", b, c))
	})
}

func TestAwaitErrorNamesThoseWhoHoldEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		require.Nil(t, failsToAwait(t, a, 1, time.Second), "alone")
		open(t, net.Pod("b"), "b")
		open(t, net.Pod("c"), "c")
		pass(time.Second)
		net.Cut("c")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Await(ctx, 2) }()
		pass(time.Second)
		cancel()
		err := <-done
		var ae *podshare.AwaitError
		require.ErrorAs(t, err, &ae)
		require.Equal(t, &podshare.AwaitError{Want: 2, Nodes: []string{"b"}, Err: context.Canceled}, ae)
		require.ErrorIs(t, err, context.Canceled)
		require.EqualError(t, err, "podshare: 1 of 2 pods hold every write: context canceled")
		require.NoError(t, a.Await(ctx, 1), "what is known needs no waiting, whatever ctx says")
	})
}

func TestAwaitOfNobodyReturnsAtOnceAndCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Await(t.Context(), 0))
		require.NoError(t, a.Await(t.Context(), -1))
		require.Empty(t, tr.sent(t, wire.KindAsk))
	})
}

func TestAwaitWithoutWritesWaitsForPodsOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a")
		require.Empty(t, failsToAwait(t, a, 1, time.Second))
		open(t, tr, "b")
		requireAwait(t, a, 1, time.Second)
	})
}

func TestAwaitAfterCloseAndDuringCloseReturnsErrClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		done := make(chan error, 10)
		for range cap(done) {
			go func() { done <- a.Await(t.Context(), 1) }()
		}
		synctest.Wait()
		require.NoError(t, a.Close())
		for range cap(done) {
			require.ErrorIs(t, <-done, podshare.ErrClosed)
		}
		require.ErrorIs(t, a.Await(t.Context(), 1), podshare.ErrClosed)
		require.ErrorIs(t, a.Await(t.Context(), 0), podshare.ErrClosed)
	})
}

func TestConcurrentAwaitsEachCoverTheirWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1, transporttest.WithFaults(transporttest.Faults{Drop: 0.1, MaxDelay: 20 * time.Millisecond}))
		a, b, c := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b"), open(t, net.Pod("c"), "c")
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				key := fmt.Sprint(i)
				assert.NoError(t, a.Set(t.Context(), key, "v"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				assert.NoError(t, a.Await(ctx, 2))
				assert.Equal(t, 2, holding(key, "v", b, c), "write %d", i)
			})
		}
		all.Wait()
	})
}

// A pod answers what it was asked first, though it is asked for more before that is there: under steady writes and
// losses it would never answer otherwise.
func TestLaterAskDoesNotPutOffAnEarlierOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		open(t, tr, "b")
		x := newStranger("x")
		heads := func() (hs []uint64) {
			for _, frame := range tr.sent(t, wire.KindSeen) {
				_, body, err := wire.Open(frame, wire.Limits{})
				require.NoError(t, err)
				var m wire.Seen
				require.NoError(t, m.Parse(body))
				hs = append(hs, m.Head)
			}
			return hs
		}
		first := x.data(x.set("1", `"v"`))
		publish(t, tr, x.data(x.set("2", `"v"`)))
		publish(t, tr, x.ask())
		third := x.data(x.set("3", `"v"`))
		publish(t, tr, x.data(x.set("4", `"v"`)))
		publish(t, tr, x.ask())
		synctest.Wait()
		require.Empty(t, heads())
		publish(t, tr, first)
		synctest.Wait()
		require.Equal(t, []uint64{2}, heads())
		publish(t, tr, third)
		synctest.Wait()
		require.Equal(t, []uint64{2, 4}, heads())
		publish(t, tr, x.data(x.set("5", `"v"`)))
		synctest.Wait()
		require.Len(t, heads(), 2, "nobody asked about that")
	})
}

// ask returns an ask about all writes.
func (x *stranger) ask() []byte {
	h := x.header()
	return (&wire.Ask{}).Append(nil, &h)
}

// saysSeen returns a claim to have seen the writes of a run up to a head.
func (x *stranger) saysSeen(to wire.ID, head uint64) []byte {
	h := x.header()
	return (&wire.Seen{To: to, Head: head}).Append(nil, &h)
}

// idOf returns the identity of a store's run, from a frame that it sent.
func idOf(t testing.TB, tr *tap, node string) wire.ID {
	t.Helper()
	for _, frame := range tr.sent(t, wire.KindHeartbeat) {
		h, _, err := wire.Open(frame, wire.Limits{})
		require.NoError(t, err)
		if string(h.Node) == node {
			return h.ID()
		}
	}
	require.FailNow(t, "no frame of "+node)
	return wire.ID{}
}

func TestClaimsOfStrangersToHaveSeenMoreThanThereIsDoNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(3 * time.Second)
		id := idOf(t, tr, "a")
		x := newStranger("x")
		publish(t, tr, x.saysSeen(id, 2))                                        // beyond our head
		publish(t, tr, x.saysSeen(id, wire.MaxSeq))                              // far beyond
		publish(t, tr, x.saysSeen(wire.ID{Boot: id.Boot + 1, Node: id.Node}, 1)) // another run's
		publish(t, tr, x.saysSeen(wire.ID{Boot: id.Boot, Node: id.Node + 1}, 1)) // another pod's
		require.Empty(t, failsToAwait(t, a, 1, time.Second))
		publish(t, tr, x.saysSeen(id, 1))
		requireAwait(t, a, 1, time.Second)
		publish(t, tr, x.saysSeen(id, 0))
		synctest.Wait()
		requireAwait(t, a, 1, time.Second)
	})
}

// A pod that cannot take a write never holds every write.
func TestPodThatRefusesAWriteNeverCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b", podshare.WithLimits[string](podshare.Limits{ValueBytes: 100}))
		require.NoError(t, a.Set(t.Context(), "small", "v"))
		requireAwait(t, a, 1, time.Second)
		require.NoError(t, a.Set(t.Context(), "large", strings.Repeat("v", 200)))
		require.Empty(t, failsToAwait(t, a, 1, time.Hour))
		require.NoError(t, a.Set(t.Context(), "large", "small now"))
		requireAwait(t, a, 1, healing)
		requireHolds(t, b, "large", "small now")
	})
}

// A pod that left, or was not heard for three heartbeats, does not count.
func TestAnswerOfAPodThatIsGoneDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		open(t, net.Pod("c"), "c")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		requireAwait(t, a, 2, time.Second)
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Equal(t, []string{"c"}, failsToAwait(t, a, 2, time.Second))
		require.NoError(t, net.Pod("c").Close())
		pass(healing)
		require.Empty(t, failsToAwait(t, a, 1, time.Second))
	})
}

// An answer of a dead run does not count once a new one of that pod is heard: neither for a second pod, nor for one that
// holds what the new run lacks.
//
//	b: ──seen──✝ (no goodbye)   b': ──(a's answers do not reach it)── heard, holds nothing
func TestAnswerOfADeadRunDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		requireAwait(t, a, 1, time.Second)
		require.NoError(t, net.Pod("b").Close()) // its store falls silent
		net.FlushStore()
		net.CutOneWay("a", "b")
		b := open(t, net.Pod("b"), "b")
		pass(100 * time.Millisecond)
		requireAbsent(t, b, "k")
		require.Empty(t, failsToAwait(t, a, 1, time.Second))
		net.Heal()
		requireAwait(t, a, 1, healing)
		requireHolds(t, b, "k", "v")
		require.Equal(t, []string{"b"}, failsToAwait(t, a, 2, time.Second))
	})
}

// Two live pods of one node ID are two pods.
func TestNamesakesBothCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a")
		open(t, tr, "b")
		open(t, tr, "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		requireAwait(t, a, 2, healing)
	})
}

// Await costs one frame to everybody and one from each pod; and none when the answer is known.
func TestAwaitCostsOneFrameToEverybodyAndOneFromEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a")
		const pods = 5
		for i := range pods {
			open(t, tr, fmt.Sprint(i))
		}
		pass(time.Second)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { assert.NoError(t, a.Await(t.Context(), pods)) })
		}
		all.Wait()
		require.NoError(t, a.Await(t.Context(), pods))
		pass(time.Minute)
		require.Len(t, tr.sent(t, wire.KindAsk), 1)
		require.Len(t, tr.sent(t, wire.KindSeen), pods)
	})
}

// Waiting for an hour, by many, makes no storm: for a pod that never comes nothing is sent, and one that does not answer
// is asked again every 3 s at the most.
func TestWaitingForAnHourMakesNoStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a, b := open(t, tr, "a"), open(t, tr, "b", podshare.WithLimits[string](podshare.Limits{ValueBytes: 100}))
		wait := func(n int) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { assert.Error(t, a.Await(ctx, n)) })
			}
			all.Wait()
		}
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		wait(2)
		require.LessOrEqual(t, len(tr.sent(t, wire.KindAsk)), 2, "b has answered, and nobody else is there")
		require.NoError(t, a.Set(t.Context(), "k", strings.Repeat("v", 200)))
		wait(1)
		require.Less(t, len(tr.sent(t, wire.KindAsk)), 3600/3+10, "b refuses and does not answer")
		require.LessOrEqual(t, len(tr.sent(t, wire.KindSeen)), 2)
		require.Len(t, b.Keys(), 1)
	})
}

// WaitFor: a request reads here what one before it wrote on another pod.
func TestWaitForReadsWhatWasWrittenElsewhere(t *testing.T) {
	for name, faults := range map[string]transporttest.Faults{
		"delay": {MinDelay: 500 * time.Millisecond, MaxDelay: time.Second},
		"loss":  {Drop: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1, transporttest.WithFaults(faults))
				a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
				for i := range 20 {
					value := fmt.Sprint(i)
					require.NoError(t, a.Set(t.Context(), "k", value))
					require.NoError(t, b.WaitFor(t.Context(), "k", a.Version("k")))
					requireHolds(t, b, "k", value)
				}
			})
		})
	}
}

// The key is then at that version or a later one, or deleted by a later write.
func TestLaterVersionsAndDeletesSatisfyWaitFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a", podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second))
		b := open(t, net.Pod("b"), "b", podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second))
		pass(time.Second)
		net.Cut("b")
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1}) // else b learns it from there
		require.NoError(t, a.Set(t.Context(), "later", "1"))
		require.NoError(t, a.Set(t.Context(), "deleted", "1"))
		require.NoError(t, a.SetTTL(t.Context(), "expired", "1", time.Second))
		later, deleted, expired := a.Version("later"), a.Version("deleted"), a.Version("expired")
		require.NoError(t, a.Set(t.Context(), "later", "2"))
		require.NoError(t, a.Delete(t.Context(), "deleted"))
		dead := a.Version("deleted")
		require.False(t, dead.Exists)
		done := make(chan string, 4)
		for key, v := range map[string]podshare.Version{"later": later, "deleted": deleted, "expired": expired} {
			go func() {
				assert.NoError(t, b.WaitFor(t.Context(), key, v))
				done <- key
			}()
		}
		go func() {
			assert.NoError(t, b.WaitFor(t.Context(), "deleted", dead))
			done <- "dead"
		}()
		pass(5 * time.Second)
		require.Empty(t, done)
		net.Calm()
		net.Heal()
		pass(healing)
		require.Len(t, done, 4)

		pass(10 * time.Minute)
		require.Zero(t, b.Stats().Tombstones, "forgotten")
		for _, v := range []podshare.Version{deleted, dead} {
			require.NoError(t, b.WaitFor(t.Context(), "deleted", v))
		}
		c := open(t, net.Pod("c"), "c") // has never heard of the key
		require.NoError(t, c.Synced(t.Context()))
		require.NoError(t, c.WaitFor(t.Context(), "deleted", deleted))
	})
}

// A key that was set, deleted and forgotten while its waiter was cut off.
func TestWaitForHearsThatAKeyIsDeletedAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		short := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
		a, c := open(t, net.Pod("a"), "a", short...), open(t, net.Pod("c"), "c", short...)
		b := open(t, net.Pod("b"), "b", short...)
		pass(time.Second)
		net.Cut("b")
		net.SetStoreFaults(transporttest.StoreFaults{SnapshotError: 1, FetchError: 1}) // from which b would learn it
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		v := a.Version("k")
		require.NoError(t, a.Delete(t.Context(), "k"))
		done := make(chan error, 1)
		go func() { done <- b.WaitFor(t.Context(), "k", v) }()
		pass(10 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		require.Zero(t, c.Stats().Tombstones)
		require.Empty(t, done)
		net.Heal()
		pass(healing)
		require.Len(t, done, 1)
	})
}

// Tombstones that are forgotten early do not make WaitFor take a write that has not come for one that is gone.
func TestForgottenTombstoneOfAnotherKeyDoesNotSatisfyWaitFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		b := open(t, net.Pod("b"), "b", podshare.WithLimits[string](podshare.Limits{Tombstones: 1}), podshare.WithGCInterval[string](0))
		pass(time.Second)
		net.CutOneWay("a", "b")
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		v := a.Version("k")
		for i := range 5 {
			pass(time.Millisecond)
			require.NoError(t, b.Set(t.Context(), fmt.Sprint(i), "v"))
			require.NoError(t, b.Delete(t.Context(), fmt.Sprint(i)))
		}
		require.Positive(t, b.Stats().TombstonesForced)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, b.WaitFor(ctx, "k", v), context.DeadlineExceeded)
		net.Heal()
		require.NoError(t, b.WaitFor(t.Context(), "k", v))
		requireHolds(t, b, "k", "v")
	})
}

// A seed is ordered below every real write, however late it was made.
func TestLaterSeedDoesNotSatisfyWaitFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(time.Second)
		net.Cut("b")
		require.NoError(t, a.Set(t.Context(), "k", "real"))
		pass(time.Second)
		require.NoError(t, b.Seed(map[string]string{"k": "seed"}))
		seed := b.Version("k")
		require.NoError(t, b.WaitFor(t.Context(), "k", seed))
		net.Heal()
		require.NoError(t, b.WaitFor(t.Context(), "k", a.Version("k")))
		requireHolds(t, b, "k", "real")
	})
}

// With a Merger a version is reached when the value joins it in, not when a later one is there without it.
func TestWaitForWithAMergerWaitsForTheWriteItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		sum := podshare.WithMerger(func(x, y string) string {
			if strings.Contains(x, y) {
				return x
			}
			return x + y
		})
		a, b, c := open(t, net.Pod("a"), "a", sum), open(t, net.Pod("b"), "b", sum), open(t, net.Pod("c"), "c", sum)
		pass(time.Second)
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
		net.CutOneWay("a", "b")
		net.CutOneWay("a", "c")
		require.NoError(t, a.Set(t.Context(), "k", "A"))
		v := a.Version("k")
		pass(time.Millisecond)
		require.NoError(t, c.Set(t.Context(), "k", "C"))
		synctest.Wait()
		requireHolds(t, b, "k", "C")
		done := make(chan error, 1)
		go func() { done <- b.WaitFor(t.Context(), "k", v) }()
		pass(time.Second)
		require.Empty(t, done, "what c wrote is later, and does not hold what a wrote")
		net.Heal()
		require.NoError(t, <-done)
		requireHolds(t, b, "k", "AC")

		net.CutOneWay("a", "b")
		require.NoError(t, a.Set(t.Context(), "k", "B"))
		v = a.Version("k")
		synctest.Wait()
		require.NoError(t, c.Delete(t.Context(), "k"))
		require.NoError(t, b.WaitFor(t.Context(), "k", v), "the delete removes what came before it, known or not")
		requireAbsent(t, b, "k")
	})
}

func TestWaitForReturnsWhatIsWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		require.NoError(t, a.WaitFor(t.Context(), "k", podshare.Version{}), "a zero version returns at once")
		require.ErrorIs(t, a.WaitFor(t.Context(), "", podshare.Version{}), podshare.ErrEmptyKey)
		require.ErrorIs(t, a.WaitFor(t.Context(), strings.Repeat("k", 5000), podshare.Version{}), podshare.ErrTooLarge)
		future := podshare.Version{Timestamp: time.Now().Add(time.Hour), Origin: "b", Seq: 1, Exists: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, a.WaitFor(ctx, "k", future), context.DeadlineExceeded, "it never comes")
		require.ErrorIs(t, a.WaitFor(ctx, "k", podshare.Version{}), context.DeadlineExceeded, "ctx has ended")
		done := make(chan error, 1)
		go func() { done <- a.WaitFor(t.Context(), "k", future) }()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-done, podshare.ErrClosed)
		require.ErrorIs(t, a.WaitFor(t.Context(), "k", podshare.Version{}), podshare.ErrClosed)
	})
}

func TestConcurrentWaitsForOneKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1, transporttest.WithFaults(transporttest.Faults{MaxDelay: 50 * time.Millisecond}))
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		var all sync.WaitGroup
		var ended atomic.Int64
		for i := range 50 {
			require.NoError(t, a.Set(t.Context(), "k", fmt.Sprintf("%02d", i)))
			v := a.Version("k")
			for j := range 4 {
				all.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if j == 0 {
						cancel()
					}
					err := b.WaitFor(ctx, "k", v)
					if errors.Is(err, context.Canceled) && j == 0 {
						return
					}
					assert.NoError(t, err)
					got, _ := b.Get("k")
					assert.GreaterOrEqual(t, got, fmt.Sprintf("%02d", i))
					ended.Add(1)
				})
			}
		}
		all.Wait()
		require.EqualValues(t, 150, ended.Load())
	})
}

func BenchmarkAwait(b *testing.B) {
	for _, pods := range []int{1, 10} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			tr := newMemory(b)
			a := open(b, tr, "a")
			for i := range pods {
				open(b, tr, fmt.Sprint(i))
			}
			require.NoError(b, a.Await(staying, pods))
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Set(staying, "k", "v"); err != nil {
					b.Fatal(err)
				}
				if err := a.Await(staying, pods); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
