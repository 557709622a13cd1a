package transporttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
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

func TestDropLosesFrames(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{Drop: 0.5}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, numbered(200)...)
		got := received(atB)
		require.True(t, slices.IsSorted(got))
		require.InDelta(t, 100, len(got), 40)
		require.EqualValues(t, 200-len(got), n.Stats().Dropped)
	})
}

func TestDelayKeepsTheOrder(t *testing.T) {
	f := transporttest.Faults{MinDelay: time.Second, MaxDelay: time.Minute}
	inNetwork(t, 1, f, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, numbered(100)...)
		time.Sleep(time.Second - 1)
		synctest.Wait()
		require.Empty(t, received(atB))
		require.Equal(t, 100, n.Stats().InFlight)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, numbered(100), received(atB))
		require.EqualValues(t, 100, n.Stats().Delayed)
	})
}

// A frame without delay does not overtake one that was sent with delay before.
func TestEndOfDelayKeepsTheOrder(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{MinDelay: 1, MaxDelay: time.Minute}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, "slow")
		n.SetFaults(transporttest.Faults{})
		publish(t, a, "fast")
		require.Empty(t, received(atB))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"slow", "fast"}, received(atB))
	})
}

func TestReorderLetsFramesOvertakeAndLosesNone(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{Reorder: 0.3}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, numbered(100)...)
		time.Sleep(time.Second)
		synctest.Wait()
		got := received(atB)
		require.False(t, slices.IsSorted(got))
		require.ElementsMatch(t, numbered(100), got)
		require.EqualValues(t, n.Stats().Delayed, n.Stats().Reordered)
	})
}

func TestDuplicateBringsFramesTwice(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{Duplicate: 1}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		publish(t, a, "one", "two")
		require.Equal(t, []string{"one", "one", "two", "two"}, received(atB))
	})
}

func TestCorruptChangesACopy(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{Corrupt: 1}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		var shorter, flipped int
		for range 200 {
			sent := []byte("the frame")
			require.NoError(t, a.Publish(t.Context(), topic, sent))
			require.Equal(t, "the frame", string(sent))
			got := <-atB
			require.NotEqual(t, sent, got)
			if len(got) < len(sent) {
				shorter++
			} else {
				flipped++
			}
		}
		require.NotZero(t, shorter)
		require.NotZero(t, flipped)
		require.EqualValues(t, 200, n.Stats().Corrupted)
		publish(t, a, "") // nothing to damage
		require.Equal(t, []string{""}, received(atB))
	})
}

func TestLinkFaultsReplaceThoseOfTheNetwork(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		n.SetLinkFaults("a", "b", transporttest.Faults{Drop: 1}) // before the pods exist
		a, b, c := n.Pod("a"), n.Pod("b"), n.Pod("c")
		atA, atB, atC := subscribe(t, a), subscribe(t, b), subscribe(t, c)
		publish(t, a, "from a")
		publish(t, b, "from b")
		require.Equal(t, []string{"from b"}, received(atA))
		require.Empty(t, received(atB))
		require.Equal(t, []string{"from a", "from b"}, received(atC))
		n.Calm()
		publish(t, a, "calm")
		require.Equal(t, []string{"calm"}, received(atB))
	})
}

func TestOneWayCut(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		a, b := n.Pod("a"), n.Pod("b")
		atA, atB := subscribe(t, a), subscribe(t, b)
		n.CutOneWay("a", "b")
		publish(t, a, "lost")
		publish(t, b, "heard")
		require.Empty(t, received(atB))
		require.Equal(t, []string{"heard"}, received(atA))
		n.Heal()
		publish(t, a, "healed")
		require.Equal(t, []string{"healed"}, received(atB))
		require.EqualValues(t, 1, n.Stats().Cut)
	})
}

// a and b stay together, c and the later d too; nothing crosses.
func TestCutSeparatesAGroupFromAllOthers(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		a, b, c := n.Pod("a"), n.Pod("b"), n.Pod("c")
		n.Cut("a", "b")
		d := n.Pod("d")
		atB, atC, atD := subscribe(t, b), subscribe(t, c), subscribe(t, d)
		publish(t, a, "from a")
		publish(t, c, "from c")
		require.Equal(t, []string{"from a"}, received(atB))
		require.Equal(t, []string{"from c"}, received(atD))
		require.Empty(t, received(atC))
	})
}

func TestCutLosesWhatIsUnderWay(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{MinDelay: 1, MaxDelay: 1}, func(t *testing.T, n *transporttest.Network) {
		a, atB, atC := n.Pod("a"), subscribe(t, n.Pod("b")), subscribe(t, n.Pod("c"))
		publish(t, a, "one")
		n.Cut("b")
		n.Heal()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, received(atB))
		require.Equal(t, []string{"one"}, received(atC))
	})
}

func TestPublishError(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		a, b := n.Pod("a"), n.Pod("b")
		atA, atB := subscribe(t, a), subscribe(t, b)
		n.SetPodFaults("a", transporttest.PodFaults{PublishError: 1})
		require.ErrorIs(t, a.Publish(t.Context(), topic, nil), transporttest.ErrInjected)
		publish(t, b, "b is well")
		require.Equal(t, []string{"b is well"}, received(atA))
		require.Empty(t, received(atB))
		require.EqualValues(t, 1, n.Stats().PublishErrors)
	})
}

func TestStuckPublishReturnsWhenItsContextEnds(t *testing.T) {
	inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		n.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, a.Publish(ctx, topic, nil), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Empty(t, received(atB))
	})
}

func TestStuckPublishReturnsWhenItsEndpointCloses(t *testing.T) {
	for name, closeIt := range map[string]func(*transporttest.Network) error{
		"endpoint": func(n *transporttest.Network) error { return n.Pod("a").Close() },
		"network":  (*transporttest.Network).Close,
	} {
		t.Run(name, func(t *testing.T) {
			inNetwork(t, 1, transporttest.Faults{}, func(t *testing.T, n *transporttest.Network) {
				a := n.Pod("a")
				n.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})
				result := make(chan error)
				go func() { result <- a.Publish(context.Background(), topic, nil) }()
				synctest.Wait()
				require.EqualValues(t, 1, n.Stats().PublishStuck)
				require.NoError(t, closeIt(n))
				require.ErrorIs(t, <-result, transport.ErrClosed)
			})
		})
	}
}

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
var everything = transporttest.Faults{
	Drop: 0.2, Duplicate: 0.2, Corrupt: 0.2, Reorder: 0.2, MinDelay: time.Millisecond, MaxDelay: time.Second,
}

// trace is what b gets of 200 frames from a.
func trace(t *testing.T, seed uint64, f transporttest.Faults) (got []string) {
	t.Helper()
	inNetwork(t, seed, f, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		for _, f := range numbered(200) {
			publish(t, a, f)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got = received(atB)
	})
	return got
}

func TestOneSeedIsOneSchedule(t *testing.T) {
	require.Equal(t, trace(t, 1, everything), trace(t, 1, everything))
	require.NotEqual(t, trace(t, 1, everything), trace(t, 2, everything))
}

func TestSwitchingOneFaultOffLeavesTheOthersWhereTheyWere(t *testing.T) {
	// Without corruption the same frames come, in the same order.
	sound := everything
	sound.Corrupt = 0
	with, without := trace(t, 1, everything), trace(t, 1, sound)
	require.Len(t, with, len(without))
	for i := range with {
		require.True(t, couldBecome(without[i], with[i]), "%q, damaged: %q", without[i], with[i])
	}
}

// couldBecome is whether corruption may make got out of sent, or leave it alone.
func couldBecome(sent, got string) bool {
	if len(got) < len(sent) {
		return strings.HasPrefix(sent, got)
	}
	flipped := 0
	for i := range sent {
		flipped += bits.OnesCount8(sent[i] ^ got[i])
	}
	return len(got) == len(sent) && flipped <= 4
}

func TestInvalidFaultsPanic(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	for name, set := range map[string]func(){
		"probability above 1":    func() { n.SetFaults(transporttest.Faults{Drop: 1.1}) },
		"negative probability":   func() { n.SetLinkFaults("a", "b", transporttest.Faults{Reorder: -0.1}) },
		"delays upside down":     func() { n.SetFaults(transporttest.Faults{MinDelay: 2, MaxDelay: 1}) },
		"negative delay":         func() { transporttest.WithFaults(transporttest.Faults{MinDelay: -1}) },
		"pod probability":        func() { n.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 2}) },
		"store probability":      func() { n.SetStoreFaults(transporttest.StoreFaults{Stale: 2}) },
		"negative reorder delay": func() { n.SetFaults(transporttest.Faults{ReorderBy: -1}) },
	} {
		require.Panics(t, set, name)
	}
}

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

func fetch(t *testing.T, e *transporttest.Endpoint) string {
	t.Helper()
	data, err := e.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	return string(data)
}

func TestSnapshotStore(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	a, b := n.Pod("a"), n.Pod("b")
	store := func(data string) { require.NoError(t, a.Snapshot(t.Context(), topic, []byte(data))) }

	n.SetStoreFaults(transporttest.StoreFaults{Stale: 1})
	require.Empty(t, fetch(t, b))
	store("1")
	require.Empty(t, fetch(t, b), "there is no older version")
	store("2")
	store("3")
	for range 20 {
		require.Contains(t, []string{"1", "2"}, fetch(t, b))
	}

	n.Calm()
	require.Equal(t, "3", fetch(t, b))
	n.RollbackStore(1)
	require.Equal(t, "2", fetch(t, b))
	store("4")
	n.RollbackStore(1)
	require.Equal(t, "2", fetch(t, b))
	n.RollbackStore(100)
	require.Empty(t, fetch(t, b))

	for i := range 30 {
		store(fmt.Sprint(i))
	}
	require.Equal(t, "29", fetch(t, b))
	n.RollbackStore(15)
	require.Equal(t, "14", fetch(t, b), "16 versions are remembered")
	n.FlushStore()
	require.Empty(t, fetch(t, b))
}

func TestSnapshotStoreErrors(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	a, b := n.Pod("a"), n.Pod("b")
	store := func(e *transporttest.Endpoint, data string) error {
		return e.Snapshot(t.Context(), topic, []byte(data))
	}
	load := func(e *transporttest.Endpoint) error {
		_, err := e.FetchSnapshot(t.Context(), topic)
		return err
	}
	require.NoError(t, store(a, "stored"))

	n.SetStoreFaults(transporttest.StoreFaults{SnapshotError: 1})
	require.ErrorIs(t, store(a, "refused"), transporttest.ErrInjected)
	require.Equal(t, "stored", fetch(t, a))

	n.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
	require.ErrorIs(t, load(a), transporttest.ErrInjected)
	require.NoError(t, store(a, "stored again"))

	n.SetStoreFaults(transporttest.StoreFaults{})
	n.SetPodFaults("a", transporttest.PodFaults{StoreError: 1})
	require.True(t, errors.Is(load(a), transporttest.ErrInjected) && errors.Is(store(a, ""), transporttest.ErrInjected))
	require.Equal(t, "stored again", fetch(t, b))

	n.SetStoreFaults(transporttest.StoreFaults{Corrupt: 1})
	damaged, err := b.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	require.False(t, bytes.Equal(damaged, []byte("stored again")))
	require.Equal(t, uint64(4), n.Stats().StoreErrors)
	require.Equal(t, uint64(1), n.Stats().CorruptedFetches)
}
