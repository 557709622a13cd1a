//go:build linux

package p2pfaults

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
)

// A pod hangs, and its connections stay open. Its peers go on as if it were not there, though more is written than its
// socket takes: their writes wait for it no more than their readers do.
func TestFleetSurvivesAFrozenPod(t *testing.T) {
	f := newFleet(t, 3, impatient)
	a, b := f.start(0), f.start(1)
	victim := f.startProcess(2)
	f.begin()

	victim.freeze()
	last := f.members
	f.members = map[string]member{"a": a, "b": b} // the victim answers nobody
	large := newLarge()
	var times []time.Duration
	frozen := nodeOf(2)
	deadline := time.Now().Add(fleettest.Patience)
	for n := 0; ; n++ {
		require.True(t, time.Now().Before(deadline), "the frozen pod is not taken for dead")
		times = append(times, a.sendTo(t, b, fmt.Sprintf("large/%d", n%100), large()))
		sa, sb := a.status(), b.status()
		if n >= 200 && !slices.Contains(append(sa.Heard, sb.Heard...), frozen) && !slices.Contains(append(sa.Connected, sb.Connected...), frozen) {
			break
		}
	}
	slices.Sort(times)
	t.Logf("while a pod is frozen, %d large writes took %v each, at most %v", len(times), times[len(times)/2], times[len(times)-1])
	require.Less(t, times[len(times)/2], keepAlive/2, "writes wait for the frozen pod")
	f.awaitWrites(60)

	victim.thaw()
	f.members = last
	f.healed = time.Now()
	f.settle()
}
