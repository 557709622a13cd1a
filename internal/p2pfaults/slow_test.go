//go:build linux

package p2pfaults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

// A pod is behind a link of 1 Mbit/s that is 200 ms long and loses packets; see shape. Writes pass, both ways, and
// over connections that are made then. What is more than the link takes is dropped, and nobody else waits for it.
func TestFleetSurvivesASlowLink(t *testing.T) {
	const queue = 1 << 20
	far := addressOf(2)
	f := newFleet(t, 3, impatient, func(c *config, o *transport.P2POptions) {
		o.SendQueueBytes = queue
		c.WriteEvery *= 5 // a tenth of the link
		if c.Listen == far {
			// It is dialled, all its connections by way of the proxy.
			o.Peers, o.Listen, o.Advertise = nil, addressOf(behind), far
		}
	})
	network := f.proxy(far, addressOf(behind))
	a, b, c := f.start(0), f.start(1), f.start(2)
	f.begin()

	network.set(shape{delay: 200 * time.Millisecond, rate: 1e6 / 8, loss: 0.01})
	f.awaitPassing(a, b, c)
	network.reset()
	f.awaitPassing(a, b, c)
	large := newLarge()
	full := func(err error) bool { return errors.Is(err, transport.ErrQueueFull) }
	for n := 0; !a.heard(full); n++ {
		a.sendTo(t, b, fmt.Sprintf("large/%d", n%10), large())
		require.Less(t, n, 10_000, "nothing is dropped")
	}
	network.set(shape{})
	fleettest.Poll(t, "what was dropped to be counted", func() bool { return a.status().Dropped > 0 })
	f.settle()
}
