package podshare_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// G5: a batch of 20,000 keys is seen all-or-none, by a reader that never stops looking.
func TestLargeBatchIsSeenAllOrNoneByLoopingReader(t *testing.T) {
	const keys = 20_000
	tr := newMemory(t, transport.WithMemoryQueue(2))
	a, b := open(t, tr, "a"), open(t, tr, "b")
	batches := []map[string]string{numbered(keys, "1"), numbered(keys, "2")}

	var reader sync.WaitGroup
	reader.Go(func() {
		for last := ""; last != "2"; {
			contents := b.Snapshot()
			if len(contents) != 0 && len(contents) != keys {
				t.Errorf("the reader saw %d keys", len(contents))
				return
			}
			first, _ := b.Get("key 00000")
			if after, _ := b.Get("key 19999"); after < first {
				t.Errorf("the reader saw %q at one key, then %q at another of the batch", first, after)
				return
			}
			last = contents["key 00000"]
			for key, value := range contents {
				if value != last {
					t.Errorf("the reader saw %q = %q beside %q", key, value, last)
					return
				}
			}
		}
	})
	for _, m := range batches {
		require.NoError(t, a.SetMany(t.Context(), m))
	}
	reader.Wait()
}

// G1, G5: small buffers lose frames; the batch arrives whole all the same.
func TestLargeBatchArrivesWholeOverSmallQueues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lossy atomic.Bool
		tr := &tap{Transport: newMemory(t, transport.WithMemoryQueue(1))}
		tr.onPublish = func(ctx context.Context, name string, msg []byte) error {
			if lossy.Load() && name == topic {
				return nil // as from a full queue
			}
			return tr.Transport.Publish(ctx, name, msg)
		}
		a, b, c := open(t, tr, "a"), open(t, tr, "b"), open(t, tr, "c")
		pass(threeHeartbeats)
		lossy.Store(true)
		require.NoError(t, a.SetMany(t.Context(), numbered(20_000, "v")))
		synctest.Wait()
		require.Empty(t, b.Keys())
		lossy.Store(false)

		// A joiner is told in many chunks, the others too: more than a queue of one holds.
		d := open(t, tr, "d")
		for range 8 {
			pass(healing)
		}
		require.Len(t, b.Keys(), 20_000)
		requireSame(t, a, b, c, d)
	})
}

// A publish that fails is ErrBroadcast: the local state stands, and repair delivers it.
func TestFailedPublishIsDeliveredLaterWithoutRetry(t *testing.T) {
	for name, ctx := range map[string]func(*testing.T) context.Context{
		"caller may leave": func(t *testing.T) context.Context { return t.Context() },
		"caller will stay": func(*testing.T) context.Context { return staying },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
				pass(threeHeartbeats)

				net.SetPodFaults("a", transporttest.PodFaults{PublishError: 1})
				err := a.Set(ctx(t), "k", "v")
				require.ErrorIs(t, err, podshare.ErrBroadcast)
				require.ErrorIs(t, err, transporttest.ErrInjected)
				requireHolds(t, a, "k", "v")
				pass(threeHeartbeats)
				requireAbsent(t, b, "k")

				net.Calm()
				pass(healing)
				requireHolds(t, b, "k", "v")
			})
		})
	}
}

// ctx frees the caller of a publish that is stuck; the write stands and arrives.
func TestStuckPublishFreesCallerWhoseContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		net.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := a.Set(ctx, "k", "v")
		require.ErrorIs(t, err, podshare.ErrBroadcast)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		requireHolds(t, a, "k", "v")

		net.Calm()
		pass(10*time.Second + healing)
		requireHolds(t, b, "k", "v")
	})
}

// A publish that is stuck ends after the store's own time-out, and with it the waiting of all others.
func TestStuckPublishDoesNotStopOthersForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		net.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})

		var callers sync.WaitGroup
		start := time.Now()
		callers.Go(func() {
			err := a.Set(staying, "stuck", "v")
			if err == nil {
				t.Error("a publish that never returned was called a success")
			}
		})
		synctest.Wait()
		net.Calm()
		for i := range 5 {
			callers.Go(func() {
				if err := a.Set(staying, fmt.Sprint("after ", i), "v"); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
		pass(healing)
		require.Len(t, b.Keys(), 6)
		requireSame(t, a, b)
	})
}

// Group commit: while one publish is under way the writes of others gather, and go out as one frame.
func TestWritersWhoWaitShareOneFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, gate := gated(newMemory(t))
		a := open(t, tr, "a")
		pass(time.Millisecond)
		gate.shut()

		var writers sync.WaitGroup
		set := func(i int) {
			writers.Go(func() {
				if err := a.Set(staying, fmt.Sprint(i), "v"); err != nil {
					t.Error(err)
				}
			})
		}
		set(0)
		synctest.Wait() // it is being published
		for i := range 100 {
			set(1 + i)
		}
		synctest.Wait()
		gate.open()
		writers.Wait()
		require.Len(t, tr.sent(t, wire.KindData), 2)
	})
}

// Every caller gets the result of the frame that carried its write.
func TestEachCallerGetsTheResultOfItsOwnFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := newMemory(t)
		var calls atomic.Int32
		release := make(chan struct{})
		tr := &tap{Transport: memory}
		tr.onPublish = func(ctx context.Context, name string, msg []byte) error {
			if h, _, err := wire.Open(msg, wire.Limits{}); err != nil || h.Kind != wire.KindData {
				return memory.Publish(ctx, name, msg)
			}
			if calls.Add(1) == 1 {
				<-release
				return memory.Publish(ctx, name, msg)
			}
			return transporttest.ErrInjected
		}
		a := open(t, tr, "a")
		var writers sync.WaitGroup
		writers.Go(func() {
			if err := a.Set(t.Context(), "first", "v"); err != nil {
				t.Error("first:", err)
			}
		})
		synctest.Wait()
		for i := range 4 {
			writers.Go(func() {
				// Large enough for a frame each.
				if err := a.Set(t.Context(), fmt.Sprint(i), strings.Repeat("v", 300<<10)); err == nil {
					t.Error("a frame that failed was called a success")
				}
			})
		}
		synctest.Wait()
		close(release)
		writers.Wait()
	})
}

// A ctx that has ended before the call: nothing is applied.
func TestEndedContextAppliesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, newMemory(t), "a")
		require.NoError(t, a.Set(t.Context(), "there", "v"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		version := a.Version("there")
		for name, err := range map[string]error{
			"Set":        a.Set(ctx, "k", "v"),
			"Delete":     a.Delete(ctx, "there"),
			"SetMany":    a.SetMany(ctx, map[string]string{"k": "v"}),
			"DeleteMany": a.DeleteMany(ctx, []string{"there"}),
			"TrySet":     second(a.TrySet(ctx, "there", "w", version)),
			"Refresh":    a.Refresh(ctx),
		} {
			require.ErrorIs(t, err, context.Canceled, name)
			require.NotErrorIs(t, err, podshare.ErrBroadcast, name)
		}
		require.Equal(t, map[string]string{"there": "v"}, a.Snapshot())
		require.Equal(t, version, a.Version("there"))
	})
}

// With ErrBroadcast the result of TrySet is valid.
func TestTrySetThatCouldNotBeSentHasStillWon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		net.SetPodFaults("a", transporttest.PodFaults{PublishError: 1})
		won, err := a.TrySet(t.Context(), "k", "v", podshare.Version{})
		require.True(t, won)
		require.ErrorIs(t, err, podshare.ErrBroadcast)
		requireHolds(t, a, "k", "v")
	})
}

func second[A any](_ A, err error) error { return err }

// gate holds up publishes while it is shut.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil while open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.closed)
	g.closed = nil
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed == nil {
		return nil
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated returns a transport whose publishes pass a gate, which is open.
func gated(tr podshare.Transport) (*tap, *gate) {
	g := &gate{}
	p := &tap{Transport: tr}
	p.onPublish = func(ctx context.Context, name string, msg []byte) error {
		if err := g.pass(ctx); err != nil {
			return err
		}
		return tr.Publish(ctx, name, msg)
	}
	return p, g
}

// The same with callers of both kinds, those that publish themselves and those that may leave, and frames that
// fail at random: nobody hears of another's frame.
func TestCallersOfEveryKindGetTheResultOfTheirOwnFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := newMemory(t)
		tr := &tap{Transport: memory}
		var mu sync.Mutex
		failed := map[string]bool{} // by key; guarded by mu
		rng := rand.New(rand.NewPCG(1, 1))
		tr.onPublish = func(ctx context.Context, name string, msg []byte) error {
			h, body, err := wire.Open(msg, wire.Limits{})
			if err != nil || h.Kind != wire.KindData {
				return memory.Publish(ctx, name, msg)
			}
			var data wire.Data
			if err := data.Parse(body); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			fails := rng.IntN(2) == 0
			for _, rec := range data.Records {
				failed[string(rec.Key)] = fails
			}
			if fails {
				return transporttest.ErrInjected
			}
			return memory.Publish(ctx, name, msg)
		}
		a := open(t, tr, "a")
		large := strings.Repeat("v", 100<<10)
		var writers sync.WaitGroup
		for w := range 8 {
			ctx := staying
			if w%2 == 0 {
				ctx = t.Context()
			}
			writers.Go(func() {
				for i := range 10 {
					key := fmt.Sprint(w, " ", i)
					err := a.Set(ctx, key, large)
					mu.Lock()
					if f, sent := failed[key]; !sent || f != (err != nil) {
						t.Errorf("%s: sent %v, failed %v, but its caller got %v", key, sent, f, err)
					}
					mu.Unlock()
				}
			})
		}
		writers.Wait()
	})
}

// Writers that never pause do not hold up heartbeats and repair: a pod that joins gets what it lacks.
func TestBusyWritersDoNotHoldUpRepair(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, &slowTransport{Transport: net.Pod("a"), publish: 100 * time.Millisecond}, "a")
		require.NoError(t, a.Set(staying, "early", "v"))
		var writers sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for i := range 20 { // out of step, so that the next frame is never empty when one has gone out
			writers.Go(func() {
				for ctx.Err() == nil {
					_ = a.Set(staying, fmt.Sprint(i), "v")
					<-time.After(time.Duration(i) * 7 * time.Millisecond)
				}
			})
		}
		b := open(t, &slowTransport{Transport: net.Pod("b"), noSnapshot: true}, "b")
		pass(healing)
		requireHolds(t, b, "early", "v")
		stop()
		writers.Wait()
	})
}

// A frame that waited long is published under a time-out that begins when its turn comes.
func TestFramesThatWaitedAreTriedAllTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, &slowTransport{Transport: newMemory(t), publish: 800 * time.Millisecond}, "a")
		large := strings.Repeat("v", 300<<10)
		var writers sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			writers.Go(func() { errs[i] = a.Set(staying, fmt.Sprint(i), large) })
		}
		writers.Wait()
		require.NoError(t, errors.Join(errs...))
	})
}

// slowTransport takes its time to publish.
type slowTransport struct {
	podshare.Transport
	publish    time.Duration
	noSnapshot bool
}

func (s *slowTransport) Publish(ctx context.Context, topic string, msg []byte) error {
	select {
	case <-time.After(s.publish):
		return s.Transport.Publish(ctx, topic, msg)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowTransport) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if s.noSnapshot {
		return nil, nil
	}
	return s.Transport.FetchSnapshot(ctx, topic)
}

// A transport that panics fails that publish: the next write is sent, and Close returns.
func TestTransportThatPanicsFailsThatPublish(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var panics atomic.Bool
		tr := &tap{Transport: newMemory(t)}
		tr.onPublish = func(ctx context.Context, to string, msg []byte) error {
			if panics.Load() {
				panic("no")
			}
			return tr.Transport.Publish(ctx, to, msg)
		}
		a, b := open(t, tr, "a"), open(t, tr, "b")
		panics.Store(true)
		before := a.Stats().PublishErrors
		err := a.Set(staying, "k", "v")
		require.ErrorIs(t, err, podshare.ErrBroadcast)
		require.ErrorIs(t, err, podshare.ErrPanic)
		require.Greater(t, a.Stats().PublishErrors, before)
		panics.Store(false)
		require.NoError(t, a.Set(t.Context(), "l", "v"))
		pass(healing)
		requireSame(t, a, b)
		require.NoError(t, a.Close())
	})
}
