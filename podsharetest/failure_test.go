package podsharetest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

// failure runs a test in fake time that is to fail, and returns what it said.
func failure(t *testing.T, test func(t *recorder)) (failures string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { failures, _ = record(t, test) })
	return failures
}

func setIn(t testing.TB, s *podshare.Store[string], key, value string) {
	t.Helper()
	require.NoError(t, s.Set(t.Context(), key, value))
}

func TestWaitConvergedSaysWhatDiffers(t *testing.T) {
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 4)
		time.Sleep(time.Until(time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)))
		setIn(t, c.Store(0), "same", "everywhere")
		setIn(t, c.Store(0), "color", "red")
		c.Advance(time.Second)
		c.Kill(3)
		c.Cut(2)
		setIn(t, c.Store(1), "color", "blue")
		setIn(t, c.Store(2), "mine", strings.Repeat("long ", 50))
		c.WaitConverged()
		t.Errorf("is not reached")
	})
	require.Equal(t, `podsharetest: waited 30s of fake time in vain: all pods hold the same and are synced
  pod-0 is synced, hears pod-1
  pod-1 is synced, hears pod-0
  pod-2 is cut off, hears nobody
  pod-3 is not running
  key "color" differs:
    pod-0, pod-1: "blue", write 1 of pod-1 at 2000-01-01T00:01:01Z
    pod-2: "red", write 2 of pod-0 at 2000-01-01T00:01:00.000000001Z
  key "mine" differs:
    pod-0, pod-1: absent
    pod-2: "long long long long long long long long long long long long…, write 1 of pod-2 at 2000-01-01T00:01:01Z
`, got)
}

func TestReportOfManyDifferencesIsShort(t *testing.T) {
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 2, podsharetest.WithPatience(time.Second))
		c.Cut(0)
		for i := range 100 {
			setIn(t, c.Store(0), fmt.Sprintf("key %03d", i), "v")
		}
		c.WaitConverged()
	})
	require.Contains(t, got, "waited 1s of fake time")
	require.Contains(t, got, `key "key 009"`)
	require.NotContains(t, got, `key "key 010"`)
	require.Contains(t, got, "… and 90 more keys differ\n")
}

// Values alone would not show it: both sides of the cut write the same.
func TestPodsWithDifferentVersionsAreNotConverged(t *testing.T) {
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 2)
		c.Cut(0)
		setIn(t, c.Store(0), "k", "v")
		setIn(t, c.Store(1), "k", "v")
		c.WaitConverged()
	})
	require.Contains(t, got, `pod-0: "v", write 1 of pod-0`)
	require.Contains(t, got, `pod-1: "v", write 1 of pod-1`)
}

// Versions alone would not show it: with a Merger they are those of the newest write.
func TestPodsThatMergeDifferentlyDoNotConverge(t *testing.T) {
	join := func(by string) podshare.Option[string] {
		return podshare.WithMerger(func(a, b string) string { return min(a, b) + by + max(a, b) })
	}
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 2, podsharetest.WithStoreOptions(join("+")))
		c.Stop(1)
		c.Restart(1, join("-"))
		setIn(t, c.Store(0), "k", "a")
		setIn(t, c.Store(1), "k", "b")
		c.WaitConverged()
	})
	require.Contains(t, got, `pod-0: "a+b", write 1 of pod-1`)
	require.Contains(t, got, `pod-1: "a-b", write 1 of pod-1`)
}

// The key is too long for pod-1, and gone before anybody compares. pod-1 is not called behind at first.
func TestPodThatLacksAWriteIsNotConverged(t *testing.T) {
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 2, podsharetest.WithStoreOptions(
			podshare.WithLimits[string](podshare.Limits{KeyBytes: 10})))
		c.Stop(1)
		c.Restart(1, podshare.WithLimits[string](podshare.Limits{KeyBytes: 3}))
		setIn(t, c.Store(0), "long key", "v")
		c.Advance(time.Second)
		require.NoError(t, c.Store(0).Delete(t.Context(), "long key"))
		c.WaitConverged()
	})
	require.Contains(t, got, "pod-1 is behind, hears pod-0 (lacks 1 of its writes)\n  all hold the same\n")
}

func TestWaitForSaysWhatItWaitedFor(t *testing.T) {
	got := failure(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 2)
		c.WaitFor("hell freezes over", func() bool { return false })
	})
	require.Equal(t, `podsharetest: waited 30s of fake time in vain: hell freezes over
  pod-0 is synced, hears pod-1
  pod-1 is synced, hears pod-0
`, got)
}

func TestPodsThatDoNotFindEachOtherFailTheTest(t *testing.T) {
	got := failure(t, func(t *recorder) {
		podsharetest.NewCluster[string](t, 2, podsharetest.WithNetworkOptions(
			transporttest.WithFaults(transporttest.Faults{Drop: 1})))
	})
	require.Equal(t, `podsharetest: waited 30s of fake time in vain: the pods of a new cluster find each other
  pod-0 is alone, hears nobody
  pod-1 is alone, hears nobody
`, got)
}

func TestMisuseFailsTheTest(t *testing.T) {
	for name, tc := range map[string]struct {
		use  func(t *recorder)
		want string
	}{
		"a pod that is not there": {
			func(t *recorder) { podsharetest.NewCluster[string](t, 2).Kill(2) },
			"podsharetest: there is no pod 2, the cluster has 2",
		},
		"no pods": {
			func(t *recorder) { podsharetest.NewCluster[string](t, 0) },
			"podsharetest: a cluster of 0 pods with a patience of 0s cannot be",
		},
		"negative patience": {
			func(t *recorder) { podsharetest.NewCluster[string](t, 1, podsharetest.WithPatience(-1)) },
			"podsharetest: a cluster of 1 pods with a patience of -1ns cannot be",
		},
		"options of another type": {
			func(t *recorder) {
				podsharetest.NewCluster[string](t, 1, podsharetest.WithStoreOptions(podshare.WithWatchBuffer[int](1)))
			},
			"podsharetest: WithStoreOptions was given []podshare.Option[int], a cluster needs []podshare.Option[string]",
		},
		"an option that New refuses": {
			func(t *recorder) {
				podsharetest.NewCluster[string](t, 1, podsharetest.WithStoreOptions(podshare.WithWatchBuffer[string](-1)))
			},
			"podsharetest: pod-0 does not start: podshare: watch buffer -1 is not within 0 and 1048576",
		},
		"restart of a running pod": {
			func(t *recorder) { podsharetest.NewCluster[string](t, 1).Restart(0) },
			"podsharetest: pod-0 is running: Kill or Stop it before Restart",
		},
		"restart without the snapshot store": {
			func(t *recorder) {
				c := podsharetest.NewCluster[string](t, 2)
				c.Kill(0)
				c.Cut(0)
				c.Restart(0)
			},
			`podsharetest: pod-0 does not start: podshare: fetch snapshot of "podsharetest": pod pod-0: ` +
				`FetchSnapshot("podsharetest"): transporttest: injected fault`,
		},
		"waiting for nobody": {
			func(t *recorder) {
				c := podsharetest.NewCluster[string](t, 1)
				c.Kill(0)
				c.WaitConverged()
			},
			"podsharetest: no pod is running that could converge",
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, failure(t, tc.use)) })
	}
}

func TestAdvanceInRealTimeFailsTheTest(t *testing.T) {
	got, _ := record(t, func(t *recorder) { podsharetest.NewCluster[string](t, 1).Advance(time.Minute) })
	require.Equal(t, "podsharetest: Advance(1m0s) needs fake time: run the test inside synctest.Test, or use WaitFor", got)
}

func TestRealTimeRunsOutToo(t *testing.T) {
	got, _ := record(t, func(t *recorder) {
		c := podsharetest.NewCluster[string](t, 1, podsharetest.WithPatience(time.Nanosecond))
		c.WaitFor("nothing", func() bool { return false })
	})
	require.Equal(t, "podsharetest: waited 1ns in vain: nothing\n  pod-0 is alone, hears nobody\n", got)
}

func TestPanicOfACallbackFailsTheTest(t *testing.T) {
	panics := podsharetest.WithStoreOptions(podshare.WithMerger(func(a, b string) string { panic("no " + a + b) }))
	for name, opts := range map[string][]podsharetest.Option{"allowed": {panics, podsharetest.WithPanicsAllowed()}, "by default": {panics}} {
		t.Run(name, func(t *testing.T) {
			got := failure(t, func(t *recorder) {
				c := podsharetest.NewCluster[string](t, 2, opts...)
				c.Cut(0) // a pod that knows of the other's write joins it in Set, which returns the panic
				setIn(t, c.Store(0), "k", "a")
				setIn(t, c.Store(1), "k", "b")
				c.Heal()
				c.WaitFor("a panic is reported", func() bool { return len(c.Errors(0))+len(c.Errors(1)) > 0 })
			})
			if name == "allowed" {
				require.Empty(t, got)
			} else {
				require.Contains(t, got, "podshare: callback panicked")
				require.Contains(t, got, "podsharetest: pod-")
			}
		})
	}
}
