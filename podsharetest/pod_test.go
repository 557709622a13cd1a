package podsharetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

func TestKilledPodFallsSilentWithoutGoodbye(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Kill(0)
		c.Kill(0)
		c.Advance(time.Second)
		requireHealth(t, c, 1, podshare.Synced) // it has not noticed
		c.Advance(untilSilent)
		requireHealth(t, c, 1, podshare.CutOff) // after a goodbye it would be alone
		require.Len(t, c.Stores(), 1)
		require.ErrorIs(t, c.Store(0).Set(t.Context(), "k", "v"), podshare.ErrClosed)
		require.Empty(t, c.Errors(0), "a killed pod says nothing")
	})
}

func TestKilledPodLosesWhatItDidNotSend(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		set(t, c.Store(0), "sent", "v")
		c.WaitConverged()
		c.Cut(0)
		set(t, c.Store(0), "unsent", "v")
		c.Kill(0)
		c.Heal()
		restarted := c.Restart(0)
		require.Same(t, restarted, c.Store(0))
		require.Equal(t, "pod-0", restarted.NodeID())
		c.WaitConverged()
		require.Equal(t, map[string]string{"sent": "v"}, restarted.Snapshot())
	})
}

func TestStoppedPodSaysGoodbyeAndStoresTheSnapshot(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		set(t, c.Store(0), "k", "v")
		c.Stop(0)
		c.Stop(0)
		c.WaitFor("pod-1 hears the goodbye", func() bool { return c.Store(1).Health().State == podshare.Alone })
		c.Kill(1)
		require.Empty(t, c.Stores())
		require.Equal(t, map[string]string{"k": "v"}, c.Restart(0).Snapshot())
		require.Empty(t, c.Errors(0))
	})
}

func TestErrorOfStopIsKept(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SetPodFaults(0, transporttest.PodFaults{StoreError: 1})
		set(t, c.Store(0), "k", "v")
		c.Stop(0)
		require.Len(t, c.Errors(0), 1)
		require.ErrorIs(t, c.Errors(0)[0], transporttest.ErrInjected)
	})
}

// Two restarts with options: those of the first stay.
func TestRestartTakesOptionsAndKeepsThem(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Stop(0)
		c.Restart(0, podshare.WithLimits[string](podshare.Limits{KeyBytes: 3}))
		c.Stop(0)
		s := c.Restart(0, podshare.WithWatchBuffer[string](1))
		require.ErrorIs(t, s.Set(t.Context(), "long key", "v"), podshare.ErrTooLarge)
		require.Equal(t, 1, cap(s.Watch(t.Context())))
		set(t, c.Store(1), "long key", "v")
		c.Advance(time.Second)
		require.NotEmpty(t, c.Errors(0), "the other pod's key is too long here")
		require.Empty(t, c.Errors(1))
	})
}

func TestOptionsAreThoseOfAllPods(t *testing.T) {
	inFakeTime(t, 1, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Add()
		for _, s := range c.Stores() {
			require.ErrorIs(t, s.Set(t.Context(), "long key", "v"), podshare.ErrTooLarge)
			require.Equal(t, 1, cap(s.Watch(t.Context())))
		}
	},
		podsharetest.WithStoreOptions(podshare.WithLimits[string](podshare.Limits{KeyBytes: 3})),
		podsharetest.WithStoreOptions(podshare.WithWatchBuffer[string](1)))
}

func TestAddedPodCatchesUp(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		set(t, c.Store(0), "k", "v")
		late := c.Add()
		require.Same(t, late, c.Store(2))
		require.Equal(t, "pod-2", late.NodeID())
		c.WaitConverged()
		require.Equal(t, map[string]string{"k": "v"}, late.Snapshot())
	})
}

func TestSkewedClockStaysSkewedThroughARestart(t *testing.T) {
	inFakeTime(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		ahead := func() time.Duration {
			set(t, c.Store(1), "k", "v")
			return time.Until(c.Store(1).Version("k").Timestamp).Round(time.Second)
		}
		require.Zero(t, ahead())
		c.SkewClock(1, 30*time.Second)
		require.Equal(t, 30*time.Second, ahead())
		c.Kill(1)
		c.Restart(1)
		c.Calm()
		require.Equal(t, 30*time.Second, ahead())
		c.SkewClock(1, 0)
		c.Advance(time.Minute)
		require.Zero(t, ahead())
	})
}

func TestClockBeyondTheSkewBoundIsReported(t *testing.T) {
	inFakeTime(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SkewClock(1, time.Hour)
		var skew *podshare.SkewError
		c.WaitFor("pod-1 hears that its clock is wrong", func() bool { return len(c.Errors(1)) > 0 })
		require.ErrorAs(t, c.Errors(1)[0], &skew)
		require.InDelta(t, time.Hour, skew.Offset, float64(time.Second))
		require.Empty(t, c.Errors(0))
		require.Empty(t, c.Errors(2))
	})
}
