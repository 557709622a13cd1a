package podsharetest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

// schedule is when which of 100 frames arrive on a link on which everything goes wrong, and what Rand draws.
func schedule(t *testing.T, seed uint64) (got []string) {
	t.Helper()
	inFakeTime(t, 2, func(t *testing.T, c *podsharetest.Cluster[string]) {
		require.Equal(t, seed, c.Seed())
		c.SetFaults(transporttest.Faults{Drop: 0.3, Duplicate: 0.3, Corrupt: 0.3, Reorder: 0.3, MaxDelay: time.Second})
		from, to := c.Network().Pod("from"), c.Network().Pod("to")
		frames, err := to.Subscribe(t.Context(), "topic")
		require.NoError(t, err)
		start := time.Now()
		arrivals := make(chan string, 1000)
		go func() {
			for f := range frames {
				arrivals <- fmt.Sprintf("%v %q", time.Since(start), f)
			}
			close(arrivals)
		}()
		for i := range 100 {
			require.NoError(t, from.Publish(t.Context(), "topic", fmt.Appendf(nil, "frame %d", i)))
		}
		c.Advance(time.Minute)
		require.NoError(t, to.Close())
		for a := range arrivals {
			got = append(got, a)
		}
		got = append(got, fmt.Sprint(c.Rand().Perm(100)))
	}, podsharetest.WithSeed(seed))
	return got
}

func TestOneSeedIsOneSchedule(t *testing.T) {
	first := schedule(t, 7)
	require.Greater(t, len(first), 50)
	require.Equal(t, first, schedule(t, 7))
	require.NotEqual(t, first, schedule(t, 8))
}

func TestSeedOfAFailedTestIsLogged(t *testing.T) {
	for name, fails := range map[string]bool{"failed": true, "passed": false} {
		t.Run(name, func(t *testing.T) {
			var logs string
			synctest.Test(t, func(t *testing.T) {
				_, logs = record(t, func(t *recorder) {
					podsharetest.NewCluster[string](t, 1, podsharetest.WithSeed(4711))
					if fails {
						t.Errorf("failed")
					}
				})
			})
			if fails {
				require.Equal(t, "podsharetest: the seed was 4711; to use it again: PODSHARETEST_SEED=4711", logs)
			} else {
				require.Empty(t, logs)
			}
		})
	}
}

func TestSeedComesFromTheEnvironment(t *testing.T) {
	first, second := podsharetest.NewCluster[int](t, 1), podsharetest.NewCluster[int](t, 1)
	require.NotEqual(t, first.Seed(), second.Seed(), "without it, they differ")
	t.Setenv("PODSHARETEST_SEED", "12")
	require.EqualValues(t, 12, podsharetest.NewCluster[int](t, 1).Seed())
	require.EqualValues(t, 13, podsharetest.NewCluster[int](t, 1, podsharetest.WithSeed(13)).Seed())
	t.Setenv("PODSHARETEST_SEED", "a dozen")
	got, _ := record(t, func(t *recorder) { podsharetest.NewCluster[int](t, 1) })
	require.Equal(t, `podsharetest: PODSHARETEST_SEED is no seed: strconv.ParseUint: parsing "a dozen": invalid syntax`, got)
}
