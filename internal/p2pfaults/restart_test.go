//go:build linux

package p2pfaults

import (
	"fmt"
	"testing"
	"time"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

// A deployment replaces one pod after the other, at the addresses that they had.
func TestFleetSurvivesARollingRestart(t *testing.T) {
	for name, nodes := range map[string]string{"new names": "pod%d of deployment %d", "the same names": "pod%d"} {
		t.Run(name, func(t *testing.T) {
			const size = 10
			n, deployment := 0, 1
			f := newFleet(t, size, func(c *config, o *transport.P2POptions) {
				if deployment > 1 && name == "new names" {
					c.Node = fmt.Sprintf(nodes, n, deployment)
					o.Node = c.Node
				}
			})
			var pods []*pod
			for i := range size {
				pods = append(pods, f.start(i))
			}
			f.begin()
			deployment++
			for n = range size {
				f.retire(pods[n])
				pods[n] = f.start(n)
				pods[n].write()
				fleettest.Poll(t, "the new pod to be ready", func() bool { return pods[n].status().Ready })
			}
			f.healed = time.Now()
			f.settle()
		})
	}
}
