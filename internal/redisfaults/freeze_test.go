//go:build unix

package redisfaults

import (
	"testing"

	"github.com/podshare/podshare/internal/redistest"
)

// A server that hangs keeps its connections: only that it does not answer gives it away.
func TestFleetSurvivesAFrozenServer(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	server.Freeze()
	f.awaitCutOff()
	f.await("publishes to fail", func(p *pod) bool { return p.Stats().PublishErrors > 0 })
	server.Thaw()
	f.settle()
}
