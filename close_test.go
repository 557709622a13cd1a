package podshare_test

import (
	"context"
	"errors"
	"fmt"
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

// G10: after Close whatever returns an error returns ErrClosed, and reads serve the last state.
func TestAfterCloseReadsServeTheLastStateAndWritesAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		version := a.Version("k")
		require.NoError(t, a.Close())
		require.NoError(t, b.Set(t.Context(), "k", "later"))
		pass(healing)

		for name, err := range map[string]error{
			"Set":              a.Set(t.Context(), "x", "v"),
			"SetMany":          a.SetMany(t.Context(), map[string]string{"x": "v"}),
			"SetMany, empty":   a.SetMany(t.Context(), nil),
			"Delete":           a.Delete(t.Context(), "k"),
			"Delete, absent":   a.Delete(t.Context(), "x"),
			"DeleteMany":       a.DeleteMany(t.Context(), []string{"k"}),
			"DeleteMany empty": a.DeleteMany(t.Context(), nil),
			"TrySet":           second(a.TrySet(t.Context(), "x", "v", podshare.Version{})),
			"TrySet, lost":     second(a.TrySet(t.Context(), "k", "v", podshare.Version{})),
			"Seed":             a.Seed(map[string]string{"x": "v"}),
			"Seed, empty":      a.Seed(nil),
			"Refresh":          a.Refresh(t.Context()),
		} {
			require.ErrorIs(t, err, podshare.ErrClosed, name)
		}
		requireHolds(t, a, "k", "v")
		require.Equal(t, []string{"k"}, a.Keys())
		require.Equal(t, map[string]string{"k": "v"}, a.Snapshot())
		require.Equal(t, version, a.Version("k"))
		require.Equal(t, 1, a.Stats().Keys)
		require.Equal(t, "a", a.NodeID())
		require.Equal(t, topic, a.Topic())
	})
}

func TestCloseMayBeRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		require.NoError(t, s.CloseWithContext(t.Context()))
	})
}

// Concurrent calls wait for the first and return what it returned.
func TestConcurrentClosesReturnTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		s := open(t, net.Pod("a"), "a")
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		net.SetPodFaults("a", transporttest.PodFaults{StoreError: 1})
		var closers sync.WaitGroup
		for range 8 {
			closers.Go(func() {
				if err := s.Close(); !errors.Is(err, transporttest.ErrInjected) {
					t.Error("Close returned", err)
				}
			})
		}
		closers.Wait()
	})
}

// Called from inside a callback Close does not deadlock.
func TestCloseFromInsideACallbackReturns(t *testing.T) {
	t.Run("filter", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := open(t, newMemory(t), "a")
			done := make(chan error, 2)
			for range 2 {
				s.Watch(t.Context(), podshare.WatchFilter(func(string) bool {
					done <- s.Close()
					return true
				}))
			}
			require.NoError(t, s.Set(staying, "k", "v"))
			require.NoError(t, <-done)
			require.NoError(t, <-done)
		})
	})
	t.Run("error handler", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			tr := newMemory(t)
			var s *podshare.Store[string]
			done := make(chan error, 1)
			ready := make(chan struct{})
			s = open(t, tr, "a", podshare.WithErrorHandler[string](func(error) {
				<-ready
				done <- s.Close()
			}))
			close(ready)
			publish(t, tr, []byte("garbage"))
			require.NoError(t, <-done)
			require.ErrorIs(t, s.Set(t.Context(), "k", "v"), podshare.ErrClosed)
		})
	})
}

// The error handler may call the Store.
func TestErrorHandlerMayCallTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		stores := make(chan *podshare.Store[string], 1)
		done := make(chan error, 1)
		s := open(t, tr, "a", podshare.WithErrorHandler[string](func(error) {
			s := <-stores
			s.Get("k")
			done <- errors.Join(s.Set(staying, "k", "v"), s.Set(staying, "l", "v"), s.Delete(staying, "l"))
		}))
		stores <- s
		publish(t, tr, []byte("garbage"))
		require.NoError(t, <-done)
		require.Equal(t, map[string]string{"k": "v"}, s.Snapshot())
	})
}

// Close sends what is pending and says goodbye.
func TestCloseSendsWhatIsPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, gate := gated(newMemory(t))
		a, b := open(t, tr, "a"), open(t, tr.Transport, "b")
		pass(threeHeartbeats)
		gate.shut()
		var calls sync.WaitGroup
		for i := range 10 {
			calls.Go(func() {
				if err := a.Set(t.Context(), fmt.Sprint(i), "v"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		calls.Go(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		gate.open()
		calls.Wait()
		synctest.Wait()
		require.Len(t, b.Keys(), 10)
		require.Len(t, tr.sent(t, wire.KindGoodbye), 1)
	})
}

// Close flushes the snapshot: who starts alone after it finds all.
func TestCloseFlushesTheSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Close())
		requireHolds(t, open(t, tr, "b"), "k", "v")
	})
}

func TestCloseFinishesTheSnapshotThatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := whole{newMemory(t)}
		tr := &tap{Transport: memory}
		var started atomic.Bool
		tr.onSnapshot = func(ctx context.Context, name string, data []byte) error {
			started.Store(true)
			select {
			case <-time.After(time.Second):
				return memory.Snapshot(ctx, name, data)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(500 * time.Millisecond)
		require.True(t, started.Load())
		require.NoError(t, a.Close())
		requireHolds(t, open(t, memory, "b"), "k", "v")
	})
}

// Close returns when its ctx ends, whatever the transport does.
func TestCloseOverAStuckTransportReturnsWhenItsContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		pass(threeHeartbeats)
		net.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})
		var writer sync.WaitGroup
		writer.Go(func() { _ = a.Set(staying, "k", "v") })
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, a.CloseWithContext(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		writer.Wait()
		requireHolds(t, a, "k", "v")
		require.ErrorIs(t, a.Set(t.Context(), "k", "v"), podshare.ErrClosed)
	})
}

func TestCloseWithAnEndedContextStillEndsEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.CloseWithContext(ctx), context.Canceled)
		synctest.Wait()
		require.Zero(t, tr.Subscribers(topic))
	})
}

// A transport that closes under a store cuts it off: reported, reads go on, and Close returns.
func TestTransportThatClosesUnderAStoreIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		a := open(t, tr, "a", log.to())
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Second)
		require.NoError(t, tr.Close())
		synctest.Wait()
		require.Positive(t, log.count(nil))
		require.ErrorIs(t, a.Set(t.Context(), "k", "w"), podshare.ErrBroadcast)
		requireHolds(t, a, "k", "w")
		pass(time.Hour)
		require.Less(t, log.count(nil), 3600*3, "one error a second is enough")
		_ = a.Close()
	})
}

// The transport belongs to the caller, also after Close; a topic may be left and entered at will.
func TestStoreClosesAndReopensAThousandTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		for i := range 1000 {
			s, err := podshare.New(t.Context(), topic, tr, podshare.WithNodeID[int]("a"))
			require.NoError(t, err)
			if i > 0 {
				requireHolds(t, s, "k", i-1)
			}
			require.NoError(t, s.Set(staying, "k", i))
			require.NoError(t, s.Close())
		}
		synctest.Wait()
		require.Zero(t, tr.Subscribers(topic))
		require.Zero(t, tr.Subscribers(topic+"@:a"), "inbox")
	})
}

// Reopened beside a pod that stays, each run is another origin, and nothing of the one before is lost.
func TestStoreReopensBesideAPodThatStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		stays := openOf[int](t, tr, "stays")
		for i := range 100 {
			s, err := podshare.New(t.Context(), topic, tr, podshare.WithNodeID[int]("a"))
			require.NoError(t, err)
			require.NoError(t, s.Set(t.Context(), fmt.Sprint(i%7), i))
			require.NoError(t, s.Close())
			synctest.Wait()
			requireHolds(t, stays, fmt.Sprint(i%7), i)
		}
		pass(healing)
		require.Len(t, stays.Keys(), 7)
	})
}
