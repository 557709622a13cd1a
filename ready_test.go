package podshare_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// noStore takes the stored snapshot away, so that joiners learn by repair alone.
var noStore = transporttest.StoreFaults{Stale: 1, SnapshotError: 1}

// untilSynced waits for Synced and returns how long it took.
func untilSynced[T any](t testing.TB, s *podshare.Store[T]) time.Duration {
	t.Helper()
	start := time.Now()
	require.NoError(t, s.Synced(t.Context()))
	require.True(t, s.Ready())
	return time.Since(start)
}

// Ready: a joiner is not, until it holds what its peers hold.
func TestJoinerIsReadyWhenItHoldsWhatPeersHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.SetStoreFaults(noStore)
		a := open(t, net.Pod("a"), "a")
		require.NoError(t, a.SetMany(t.Context(), numbered(20_000, incompressible(100))))
		pass(2 * time.Second)
		net.SetFaults(transporttest.Faults{MinDelay: 250 * time.Millisecond, MaxDelay: 250 * time.Millisecond})
		b := open(t, net.Pod("b"), "b")
		for !b.Ready() {
			require.Less(t, len(b.Keys()), 20_001)
			pass(10 * time.Millisecond)
		}
		requireSame(t, a, b)
	})
}

// An answer whose scan uses up its budget goes on by itself: a joiner of many small entries waits for no heartbeat.
func TestAnswerOfManySmallEntriesDoesNotPause(t *testing.T) {
	for seed := range uint64(5) { // an answer may happen not to pause
		bubble(t, func(t *testing.T) {
			net := newNetwork(t, seed)
			net.SetStoreFaults(noStore)
			a := open(t, net.Pod("a"), "a")
			pass(2*time.Second + 100*time.Millisecond) // the next heartbeats are far off
			require.NoError(t, a.SetMany(t.Context(), numbered(30_000, "v")))
			b := open(t, net.Pod("b"), "b")
			require.Less(t, untilSynced(t, b), 200*time.Millisecond)
			requireSame(t, a, b)
		})
	}
}

// Pods that start at one moment, beside one that holds everything, do not take each other for caught up.
func TestNewcomersDoNotTakeEachOtherForCaughtUp(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) {
			net := newNetwork(t, seed)
			net.SetStoreFaults(noStore)
			a := open(t, net.Pod("a"), "a")
			require.NoError(t, a.SetMany(t.Context(), numbered(1000, "v")))
			pass(2 * time.Second)
			slow := transporttest.Faults{MaxDelay: 100 * time.Millisecond}
			for _, pod := range []string{"b", "c"} {
				net.SetLinkFaults("a", pod, slow)
				net.SetLinkFaults(pod, "a", slow)
			}
			b, c := open(t, net.Pod("b"), "b"), open(t, net.Pod("c"), "c")
			require.Less(t, untilSynced(t, b), 3*time.Second)
			require.Len(t, b.Keys(), 1000)
			require.Less(t, untilSynced(t, c), 3*time.Second)
			require.Len(t, c.Keys(), 1000)
		})
	}
}

func TestPodThatIsAloneIsReadyAfterASecond(t *testing.T) {
	for name, faults := range map[string]transporttest.Faults{"nobody is there": {}, "everything is lost": {Drop: 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1, transporttest.WithFaults(faults))
				if faults.Drop > 0 {
					open(t, net.Pod("b"), "b")
				}
				a := open(t, net.Pod("a"), "a")
				require.False(t, a.Ready())
				took := untilSynced(t, a)
				require.InDelta(t, time.Second, took, float64(100*time.Millisecond))
			})
		})
	}
}

func TestPodsThatStartAtTheSameMomentAreReadySoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.LessOrEqual(t, untilSynced(t, a), 2*time.Second+exchange)
		require.LessOrEqual(t, untilSynced(t, b), 2*time.Second)
		requireSame(t, a, b)
	})
}

func TestJoinerOfALiveFleetIsReadyWithinTheFirstExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(5 * time.Second)
		c := open(t, net.Pod("c"), "c")
		require.Less(t, untilSynced(t, c), exchange)
	})
}

// b hears a, and asks; a dies and answers nothing.
func TestJoinerWhosePeerDiesBeforeTheExchangeIsReadyWhenThatIsClear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.SetStoreFaults(noStore)
		a := open(t, net.Pod("a"), "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(2 * time.Second)
		net.CutOneWay("b", "a")
		b := open(t, net.Pod("b"), "b")
		pass(time.Second / 2)
		require.NoError(t, a.Set(t.Context(), "sign of life", "v")) // a heartbeat may come too late
		pass(2500 * time.Millisecond)
		require.NotEmpty(t, b.Health().Peers)
		require.False(t, b.Ready(), "a holds what b cannot get")
		require.NoError(t, net.Pod("a").Close())
		require.LessOrEqual(t, untilSynced(t, b), threeHeartbeats)
	})
}

func TestReadyIsStickyUntilClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(5 * time.Second)
		net.Cut("a")
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Equal(t, podshare.CutOff, a.Health().State)
		require.True(t, a.Ready())
		require.NoError(t, a.Synced(t.Context()))
		require.NoError(t, a.Close())
		require.False(t, a.Ready())
		require.ErrorIs(t, a.Synced(t.Context()), podshare.ErrClosed)
	})
}

func TestSyncedEndsWithItsCtxAndWithTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, a.Synced(ctx), context.DeadlineExceeded)
		done := make(chan error, 1)
		go func() { done <- a.Synced(t.Context()) }()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-done, podshare.ErrClosed)
	})
}
