package podshare_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
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

// What the other pod held at the time of the call is held after it, also when an exchange is under way already, the
// first of a new store: its answer may have been read before the call.
//
//	a: ── set x ─┬─ answer (slow) ── set y (lost) ╌╌╌╌╌╌╌╌╮ ── another answer ──╮
//	b: ── joins ─╯ ────────────────────────── Refresh … ──┴── x ────────────────┴── y: Refresh returns
func TestRefreshWaitsForAnExchangeThatBeganAfterTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := newMemory(t)
		var mu sync.Mutex // guards both
		slow := true
		var answer func() error
		tr := &tap{Transport: memory, onPublish: func(ctx context.Context, name string, msg []byte) error {
			h, _, err := wire.Open(msg, wire.Limits{})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case slow && h.Kind == wire.KindHave && answer == nil:
				answer = func() error { return memory.Publish(t.Context(), name, msg) }
				return nil
			case slow && (h.Kind == wire.KindHave || h.Kind == wire.KindData):
				return nil
			}
			return memory.Publish(ctx, name, msg)
		}}
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "x", "v"))
		b := open(t, &slowTransport{Transport: memory, noSnapshot: true}, "b")
		for asked := false; !asked; {
			pass(10 * time.Millisecond)
			mu.Lock()
			asked = answer != nil
			mu.Unlock()
		}
		require.NoError(t, a.Set(t.Context(), "y", "v"))
		var caller sync.WaitGroup
		caller.Go(func() {
			if err := b.Refresh(staying); err != nil {
				t.Error(err)
			}
			if _, ok := b.Get("y"); !ok {
				t.Error("Refresh returned without what a held at the time of the call")
			}
		})
		synctest.Wait()
		mu.Lock()
		slow = false
		mu.Unlock()
		require.NoError(t, answer())
		caller.Wait()
		requireHolds(t, b, "x", "v")
	})
}

// Alone, it returns at once, but for a new store, which waits a second for others to speak up.
func TestRefreshAloneReturnsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		for _, wait := range []time.Duration{time.Second, 0} {
			start := time.Now()
			require.NoError(t, a.Refresh(staying))
			require.Equal(t, wait, time.Since(start))
		}
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

// A Refresh that Close overtakes while it reads the stored snapshot changes nothing any more.
func TestRefreshThatCloseOvertakesChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := newMemory(t)
		a := open(t, memory, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Close())

		var fetches atomic.Int64
		stored := make(chan struct{})
		tr := &tap{Transport: memory, onFetch: func(ctx context.Context, topic string) ([]byte, error) {
			switch fetches.Add(1) {
			case 1: // by New
				return nil, nil
			case 2: // by Refresh
				<-stored
			}
			return memory.FetchSnapshot(ctx, topic)
		}}
		b := open(t, tr, "b")
		var caller sync.WaitGroup
		caller.Go(func() {
			if err := b.Refresh(staying); !errors.Is(err, podshare.ErrClosed) {
				t.Error("Refresh returned", err)
			}
		})
		synctest.Wait()
		require.NoError(t, b.Close())
		close(stored)
		caller.Wait()
		requireAbsent(t, b, "k")
	})
}

// Refresh may be called from several goroutines, also while the store is closed: each returns what it found, or ErrClosed.
func TestRefreshesDuringCloseReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		b := open(t, net.Pod("b"), "b")
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		pass(threeHeartbeats)
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for {
					switch err := a.Refresh(staying); {
					case errors.Is(err, podshare.ErrClosed):
						return
					case err != nil:
						t.Error("Refresh returned", err)
						return
					}
					<-time.After(time.Duration(i+1) * time.Millisecond) // exchanges take no fake time
				}
			})
		}
		pass(50 * time.Millisecond)
		require.NoError(t, a.Close())
		callers.Wait()
		require.ErrorIs(t, a.Refresh(staying), podshare.ErrClosed)
		requireHolds(t, a, "k", "v")
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

// Refresh right after New, before the first heartbeat of another pod was heard, waits for that.
func TestRefreshOfANewStoreWaitsUntilItIsClearWhoIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a", podshare.WithSnapshotInterval[string](time.Hour))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(threeHeartbeats)
		b := open(t, tr, "b")
		require.NoError(t, b.Refresh(t.Context()))
		requireHolds(t, b, "k", "v")
	})
}
