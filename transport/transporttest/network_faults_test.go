package transporttest_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

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
				go func() { result <- a.Publish(t.Context(), topic, nil) }()
				synctest.Wait()
				require.EqualValues(t, 1, n.Stats().PublishStuck)
				require.NoError(t, closeIt(n))
				require.ErrorIs(t, <-result, transport.ErrClosed)
			})
		})
	}
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
