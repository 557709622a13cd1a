package podsharetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

// has reports whether pod i holds the key.
func has(c *podsharetest.Cluster[string], i int, key string) bool {
	_, ok := c.Store(i).Get(key)
	return ok
}

// Neither frames nor the snapshot store get anything across.
//
//	0, 1: ──┬─ set a ──┬── a, b
//	2, 3: ──┴─ set b ──┴── a, b
func TestCutSeparatesAGroup(t *testing.T) {
	inFakeTime(t, 4, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Cut(0, 1)
		set(t, c.Store(0), "a", "v")
		set(t, c.Store(2), "b", "v")
		c.Advance(time.Minute)
		for i, want := range []string{"a", "a", "b", "b"} {
			require.Equal(t, map[string]string{want: "v"}, c.Store(i).Snapshot(), c.Name(i))
		}
		c.Heal()
		c.WaitConverged()
		require.Equal(t, map[string]string{"a": "v", "b": "v"}, c.Store(0).Snapshot())
	})
}

func TestCutOffPodSaysSo(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Cut(0)
		c.WaitFor("pod-0 notices", func() bool { return c.Store(0).Health().State == podshare.CutOff })
		c.Heal()
		c.WaitConverged()
		requireHealth(t, c, 0, podshare.Synced)
	})
}

func TestCutOneWayLeavesTheOther(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SetPodFaults(1, transporttest.PodFaults{StoreError: 1}) // the way round the cut
		c.CutOneWay(0, 1)
		set(t, c.Store(0), "from 0", "v")
		set(t, c.Store(1), "from 1", "v")
		c.Advance(time.Minute)
		require.True(t, has(c, 0, "from 1"))
		require.False(t, has(c, 1, "from 0"))
		c.Heal()
		c.WaitConverged()
	})
}

func TestFaultsAroundOnePodLeaveTheOthers(t *testing.T) {
	inFakeTime(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SetPodFaults(2, transporttest.PodFaults{StoreError: 1}) // the way round
		c.SetFaults(transporttest.Faults{MinDelay: time.Minute, MaxDelay: time.Minute}, 2)
		c.SetFaults(transporttest.Faults{MinDelay: time.Second, MaxDelay: time.Second})
		set(t, c.Store(0), "k", "v")
		c.Advance(time.Second - 1)
		require.False(t, has(c, 1, "k"))
		c.Advance(1)
		require.True(t, has(c, 1, "k"))
		c.Advance(58 * time.Second)
		require.False(t, has(c, 2, "k"))
		c.Advance(time.Second)
		require.True(t, has(c, 2, "k"))
	})
}

func TestPodFaultsFailCallsOfThePod(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SetPodFaults(0, transporttest.PodFaults{PublishError: 1})
		require.ErrorIs(t, c.Store(0).Set(t.Context(), "k", "v"), podshare.ErrBroadcast)
		c.Cut(0)
		c.Heal() // leaves the faults
		require.ErrorIs(t, c.Store(0).Set(t.Context(), "k", "v"), podshare.ErrBroadcast)
		c.Calm()
		c.Heal() // brings nothing back
		require.NoError(t, c.Store(0).Set(t.Context(), "k", "w"))
		c.WaitConverged()
	})
}

func TestCalmEndsCuts(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Cut(0)
		c.Calm()
		set(t, c.Store(0), "k", "v")
		c.WaitConverged()
		c.Stop(0)
		c.Restart(0) // the snapshot store is back in reach
	})
}

func TestLossyClusterConverges(t *testing.T) {
	inBothTimes(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.SetFaults(transporttest.Faults{Drop: 0.2, Duplicate: 0.2, Reorder: 0.2})
		for range 50 {
			i := c.Rand().IntN(c.Len())
			set(t, c.Store(i), string(rune('a'+c.Rand().IntN(26))), c.Name(i))
		}
		c.WaitConverged()
	})
}
