//go:build linux

package p2pfaults

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
)

// Connections break in the middle of frames and handshakes, over and over.
func TestFleetSurvivesConnectionsCutInsideFrames(t *testing.T) {
	f := newFleet(t, 3)
	f.behindProxies()
	pods := []*pod{f.start(0), f.start(1), f.start(2)}
	f.begin()
	cut := func(most int) {
		for _, p := range f.proxies {
			p.cutLinks(most)
		}
	}
	cut(20_000)
	fleettest.Poll(t, "100 cuts", func() bool {
		n := 0
		for _, p := range f.proxies {
			n += p.cutSoFar()
		}
		return n >= 100
	})
	cut(0)
	for _, p := range pods {
		require.True(t, p.heard(func(err error) bool { return strings.Contains(err.Error(), "lost") }), "nobody was told of a lost connection")
	}
	f.settle()
}
