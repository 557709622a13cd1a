//go:build unix

package redisfaults

import (
	"testing"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
)

// Connections break in the middle of frames, commands and replies, over and over.
func TestFleetSurvivesConnectionsCutInsideFrames(t *testing.T) {
	server := redistest.Start(t)
	network := startProxy(t, server.Addr)
	f := startFleet(t, 3, at(network.addr))
	network.cutLinks(true)
	fleettest.Poll(t, "100 cuts", func() bool { return network.cutSoFar() >= 100 })
	network.cutLinks(false)
	f.settle()
}
