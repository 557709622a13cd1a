package podsharetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/podsharetest"
	"github.com/podshare/podshare/transport/transporttest"
)

// KillSwitch is the service under test: operators throw it on any pod, and every pod obeys.
type KillSwitch struct{ flags *podshare.Store[bool] }

// Throw stops a feature everywhere.
func (k KillSwitch) Throw(ctx context.Context, feature string) error {
	return k.flags.Set(ctx, feature, true)
}

// Thrown reports whether a feature is stopped.
func (k KillSwitch) Thrown(feature string) bool {
	thrown, _ := k.flags.Get(feature)
	return thrown
}

// Trustworthy reports whether this pod would hear of a switch that is thrown.
func (k KillSwitch) Trustworthy() bool { return k.flags.Health().State != podshare.CutOff }

// This test shows what a cluster is for. It covers half a minute and takes milliseconds.
func TestKillSwitchReachesPodsThatWereAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Three pods on a network that loses a fifth of what is sent.
		c := podsharetest.NewCluster[bool](t, 3)
		c.SetFaults(transporttest.Faults{Drop: 0.2, MaxDelay: 50 * time.Millisecond})
		pod := func(i int) KillSwitch { return KillSwitch{c.Store(i)} }

		// One is cut off, and knows it; one crashes.
		c.Cut(0)
		c.Kill(1)
		c.WaitFor("pod-0 notices that it is cut off", func() bool { return !pod(0).Trustworthy() })
		require.NoError(t, pod(2).Throw(t.Context(), "checkout"))
		c.Advance(10 * time.Second)
		require.False(t, pod(0).Thrown("checkout"))

		// Both return, one of them with a clock that is wrong.
		c.Heal()
		c.SkewClock(1, -time.Hour)
		c.Restart(1)
		c.WaitConverged()
		for i := range c.Len() {
			require.True(t, pod(i).Thrown("checkout"), c.Name(i))
		}
	})
}
