package transporttest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

const topic = "topic"

// inNetwork runs a test in fake time on a network that is closed at its end.

func inNetwork(t *testing.T, seed uint64, f transporttest.Faults, test func(t *testing.T, n *transporttest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork(seed, transporttest.WithFaults(f))
		defer n.Close()
		test(t, n)
		wantBalanced(t, n.Stats())
	})
}

// wantBalanced checks the equation in the doc of Stats.

func wantBalanced(t *testing.T, s transporttest.Stats) {
	t.Helper()
	assert.Equal(t, s.Sent+s.Duplicated, s.Delivered+s.Missed+s.Dropped+s.Cut+uint64(s.InFlight), "%+v", s)
}

func subscribe(t *testing.T, e *transporttest.Endpoint) <-chan []byte {
	t.Helper()
	frames, err := e.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	return frames
}

func publish(t *testing.T, e *transporttest.Endpoint, frames ...string) {
	t.Helper()
	for _, f := range frames {
		require.NoError(t, e.Publish(t.Context(), topic, []byte(f)))
	}
}

// received is what waits in a queue.

func received(frames <-chan []byte) []string {
	var got []string
	for {
		select {
		case f, open := <-frames:
			if !open {
				return got
			}
			got = append(got, string(f))
		default:
			return got
		}
	}
}

func numbered(n int) []string {
	var frames []string
	for i := range n {
		frames = append(frames, fmt.Sprintf("frame %03d", i))
	}
	return frames
}

func TestWithoutFaultsFramesArriveAtOnceAndInOrder(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		a, b, c := n.Pod("a"), n.Pod("b"), n.Pod("c")
		atA, atB, atC := subscribe(t, a), subscribe(t, b), subscribe(t, c)
		publish(t, a, numbered(100)...)
		require.Equal(t, numbered(100), received(atB))
		require.Equal(t, numbered(100), received(atC))
		require.Empty(t, received(atA), "a pod does not get its own frames")
		require.Equal(t, transporttest.Stats{Sent: 200, Delivered: 200}, n.Stats())
	})
}

func TestEchoReturnsOwnFrames(t *testing.T) {
	n := transporttest.NewNetwork(1, transporttest.WithEcho(), transporttest.WithFaults(transporttest.Faults{Drop: 1}))
	defer n.Close()
	a := n.Pod("a")
	atA := subscribe(t, a)
	publish(t, a, "one")
	require.Equal(t, []string{"one"}, received(atA))
}

// A frame without delay does not overtake one that was sent with delay before.

// a and b stay together, c and the later d too; nothing crosses.

func TestFramesUnderWayReachARestartedPod(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{MinDelay: time.Second, MaxDelay: time.Second}, func(t *testing.T, n *transporttest.Network) {
		a, old := n.Pod("a"), n.Pod("b")
		atOld := subscribe(t, old)
		require.Same(t, old, n.Pod("b"))
		publish(t, a, "one")
		require.NoError(t, old.Close())
		restarted := n.Pod("b")
		require.NotSame(t, old, restarted)
		atRestarted := subscribe(t, restarted)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, received(atOld))
		require.Equal(t, []string{"one"}, received(atRestarted))
	})
}

func TestFullQueueOverflows(t *testing.T) {
	n := transporttest.NewNetwork(1, transporttest.WithQueue(3))
	defer n.Close()
	b := n.Pod("b")
	atB := subscribe(t, b)
	publish(t, n.Pod("a"), numbered(5)...)
	require.Equal(t, numbered(3), received(atB))
	require.EqualValues(t, 2, n.Stats().Overflowed)
	require.NoError(t, b.Close())
	require.EqualValues(t, 2, n.Stats().Overflowed, "drops of closed endpoints still count")
}

func TestClosedNetworkLosesWhatIsUnderWay(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{MinDelay: 1, MaxDelay: 1}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, "one")
		require.NoError(t, n.Close())
		require.NoError(t, n.Close())
		_, open := <-atB
		require.False(t, open)
		require.EqualValues(t, 1, n.Stats().Missed)
		require.ErrorIs(t, n.Pod("c").Publish(t.Context(), topic, nil), transport.ErrClosed)
	})
}

// everything is a network on which all faults of links happen.

// trace is what b gets of 200 frames from a.

// couldBecome is whether corruption may make got out of sent, or leave it alone.

// Everything at once from several goroutines, for the race detector.

func TestNetworkUnderConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transporttest.NewNetwork(1, transporttest.WithFaults(everything), transporttest.WithQueue(16), transporttest.WithEcho())
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for range 50 {
					e := n.Pod(fmt.Sprint(i))
					ctx, cancel := context.WithCancel(t.Context())
					_, err := e.Subscribe(ctx, topic)
					assert.NoError(t, err)
					for range 10 {
						_ = e.Publish(ctx, topic, []byte("frame"))
					}
					_ = e.Snapshot(ctx, topic, []byte("snapshot"))
					_, _ = e.FetchSnapshot(ctx, topic)
					time.Sleep(time.Millisecond)
					cancel()
					if i == 0 {
						_ = e.Close()
					}
				}
			})
		}
		all.Go(func() {
			for range 50 {
				n.Cut("1")
				n.CutOneWay("0", "2")
				n.SetLinkFaults("2", "3", transporttest.Faults{})
				n.SetPodFaults("3", transporttest.PodFaults{PublishError: 0.5, StoreError: 0.5})
				n.RollbackStore(1)
				wantBalanced(t, n.Stats())
				time.Sleep(time.Millisecond)
				n.Heal()
				n.Calm()
				n.SetFaults(everything)
				n.FlushStore()
			}
		})
		all.Wait()
		require.NoError(t, n.Close())
		wantBalanced(t, n.Stats())
	})
}

func TestEndpointRefusesWhatMemoryRefuses(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	a := n.Pod("a")
	require.Equal(t, "a", a.Name())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, call := range []func(ctx context.Context, topic string) error{
		func(ctx context.Context, topic string) error { return a.Publish(ctx, topic, nil) },
		func(ctx context.Context, topic string) error { _, err := a.Subscribe(ctx, topic); return err },
		func(ctx context.Context, topic string) error { return a.Snapshot(ctx, topic, nil) },
		func(ctx context.Context, topic string) error { _, err := a.FetchSnapshot(ctx, topic); return err },
	} {
		require.ErrorIs(t, call(ended, topic), context.Canceled)
		require.ErrorIs(t, call(t.Context(), ""), transport.ErrEmptyTopic)
	}
}
