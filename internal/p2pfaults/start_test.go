//go:build linux

package p2pfaults

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// All pods of a large fleet start at the same moment, and write from the first. The connections are plaintext: 2,450
// handshakes of TLS would say more about the cores of this machine than about the mesh.
func TestFleetSurvivesAStartOfAllAtOnce(t *testing.T) {
	size := 50
	if raceEnabled {
		size = 20 // ten times as much to do, on the same cores
	}
	f := newFleet(t, size, func(c *config, o *transport.P2POptions) {
		c.WriteEvery *= 2
		o.Secret = nil
	})
	pods := make([]*pod, size)
	errs := make([]error, size)
	f.healed = time.Now()
	var starting sync.WaitGroup
	for n := range size {
		c, o := f.config(n)
		starting.Go(func() {
			if pods[n], errs[n] = openPod(c, o); errs[n] == nil {
				pods[n].write()
			}
		})
	}
	starting.Wait()
	for n, p := range pods {
		require.NoError(t, errs[n])
		t.Cleanup(p.close)
		f.members[nodeOf(n)] = p
	}
	f.settle()
}
