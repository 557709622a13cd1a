package podsharetest_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// untilSilent is how long it takes at most until a pod of a small cluster counts as silent: three heartbeats of 1 s,
// give or take 10 %, and the tick that looks.
const untilSilent = 5 * time.Second

// inFakeTime runs a test on a cluster of n stores of strings, in a bubble.
func inFakeTime(t *testing.T, n int, test func(t *testing.T, c *podsharetest.Cluster[string]), opts ...podsharetest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, podsharetest.NewCluster[string](t, n, opts...)) })
}

// inBothTimes runs a test in fake time and in real time.
func inBothTimes(t *testing.T, n int, test func(t *testing.T, c *podsharetest.Cluster[string]), opts ...podsharetest.Option) {
	t.Helper()
	t.Run("fake time", func(t *testing.T) { inFakeTime(t, n, test, opts...) })
	t.Run("real time", func(t *testing.T) { test(t, podsharetest.NewCluster[string](t, n, opts...)) })
}

func set(t *testing.T, s *podshare.Store[string], key, value string) {
	t.Helper()
	require.NoError(t, s.Set(t.Context(), key, value))
}

func requireHealth(t *testing.T, c *podsharetest.Cluster[string], i int, want podshare.HealthState) {
	t.Helper()
	require.Equal(t, want.String(), c.Store(i).Health().State.String(), c.Name(i))
}

func TestPodsOfANewClusterHearEachOther(t *testing.T) {
	inBothTimes(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		require.Equal(t, 3, c.Len())
		require.Len(t, c.Stores(), 3)
		for i := range 3 {
			require.Equal(t, fmt.Sprint("pod-", i), c.Name(i))
			require.Equal(t, c.Name(i), c.Store(i).NodeID())
			requireHealth(t, c, i, podshare.Synced)
		}
	})
}

func TestWaitConvergedReturnsWhenAllPodsHoldAllWrites(t *testing.T) {
	inBothTimes(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		want := map[string]string{}
		for i, s := range c.Stores() {
			set(t, s, fmt.Sprint("key ", i), "v")
			want[fmt.Sprint("key ", i)] = "v"
		}
		c.WaitConverged()
		for _, s := range c.Stores() {
			require.Equal(t, want, s.Snapshot())
		}
	})
}

func TestClusterOfOnePodIsConverged(t *testing.T) {
	inBothTimes(t, 1, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.WaitConverged()
		requireHealth(t, c, 0, podshare.Alone)
	})
}

func TestLastPodNeedNotBeSynced(t *testing.T) {
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		c.Kill(0)
		c.Advance(untilSilent)
		requireHealth(t, c, 1, podshare.CutOff)
		c.WaitConverged()
	})
}

// The pod that wrote the time still has its monotonic reading, the others have not.
func TestValuesThatMeanTheSameAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := podsharetest.NewCluster[time.Time](t, 2)
		require.NoError(t, c.Store(0).Set(t.Context(), "now", time.Now()))
		c.WaitConverged()
	})
}

func TestWaitForReturnsWhenTheConditionHolds(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		set(t, c.Store(0), "k", "v")
		c.WaitFor("pod-1 has the key", func() bool {
			_, ok := c.Store(1).Get("k")
			return ok
		})
	})
}

func TestAdvancePassesFakeTime(t *testing.T) {
	inFakeTime(t, 1, func(t *testing.T, c *podsharetest.Cluster[string]) {
		before, fired := time.Now(), false
		time.AfterFunc(time.Hour, func() { fired = true })
		c.Advance(time.Hour)
		require.Equal(t, time.Hour, time.Since(before))
		require.True(t, fired, "what is due has happened")
	})
}

func TestPodBesideTheCluster(t *testing.T) {
	inBothTimes(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		mine, err := podshare.New[string](t.Context(), c.Store(0).Topic(), c.Network().Pod("mine"))
		require.NoError(t, err)
		defer mine.Close()
		set(t, mine, "k", "v")
		c.WaitFor("the cluster hears of the key", func() bool {
			_, ok := c.Store(1).Get("k")
			return ok
		})
	})
}

// Everything at once, for the race detector. One goroutine ends and starts pods, and waits.
func TestClusterUnderConcurrentUse(t *testing.T) {
	inFakeTime(t, 3, func(t *testing.T, c *podsharetest.Cluster[string]) {
		var users sync.WaitGroup
		for i := range 3 {
			users.Go(func() {
				for k := range 50 {
					_ = c.Store(i).Set(t.Context(), fmt.Sprint("key ", k), c.Name(i)) // it may be closed
					_ = c.Errors(i)
					_ = c.Len() + len(c.Stores())
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		users.Go(func() {
			for range 20 {
				c.Cut(0)
				c.CutOneWay(1, 2)
				c.SkewClock(1, time.Second)
				c.SetFaults(transporttest.Faults{Drop: 0.5}, 1)
				time.Sleep(50 * time.Millisecond)
				c.Heal()
				c.SetPodFaults(2, transporttest.PodFaults{PublishError: 0.5})
				time.Sleep(50 * time.Millisecond)
				c.Calm()
			}
		})
		for i := range 3 {
			c.Kill(2)
			c.Add()
			c.Advance(300 * time.Millisecond)
			c.Restart(2)
			c.Stop(3 + i)
		}
		users.Wait()
		c.WaitConverged()
		require.Equal(t, 6, c.Len())
		require.Len(t, c.Stores(), 3)
	})
}
