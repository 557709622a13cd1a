package podshare_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// Refresh merges, and respects the Merger.
func TestRefreshRespectsTheMerger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.Cut("a") // only the stored snapshot connects them
		a, b := openUnion(t, net.Pod("a"), "a"), openUnion(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", []string{"a"}))
		pass(time.Second)
		require.NoError(t, b.Set(t.Context(), "k", []string{"b"}))
		pass(time.Second)
		require.NoError(t, a.Refresh(t.Context()))
		require.NoError(t, b.Refresh(t.Context()))
		requireHolds(t, a, "k", []string{"a", "b"})
		requireHolds(t, b, "k", []string{"a", "b"})
	})
}

// After Refresh the store holds what another pod held before the call.
func TestRefreshCatchesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b", podshare.WithSnapshotInterval[string](time.Hour))
		pass(threeHeartbeats)
		net.SetLinkFaults("b", "a", transporttest.Faults{Drop: 1})
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		net.Calm()
		require.NoError(t, a.Refresh(t.Context()))
		requireHolds(t, a, "k", "v")
	})
}

func TestRefreshAloneReturnsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		start := time.Now()
		require.NoError(t, a.Refresh(staying))
		require.Zero(t, time.Since(start))
	})
}

func TestRefreshReturnsWhenItsContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		net.Cut("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Refresh(ctx), context.DeadlineExceeded)
	})
}

func TestRefreshReturnsWhenTheLastPeerIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		net.Cut("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.NoError(t, a.Refresh(ctx))
	})
}

func TestRefreshReturnsErrClosedWhenTheStoreIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		net.Cut("a")
		var caller sync.WaitGroup
		caller.Go(func() {
			if err := a.Refresh(staying); !errors.Is(err, podshare.ErrClosed) {
				t.Error("Refresh returned", err)
			}
		})
		synctest.Wait()
		require.NoError(t, a.Close())
		caller.Wait()
	})
}

func TestRefreshReturnsTheErrorOfTheSnapshotStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
		require.ErrorIs(t, a.Refresh(t.Context()), transporttest.ErrInjected)
	})
}
