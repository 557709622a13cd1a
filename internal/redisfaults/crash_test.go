//go:build unix

package redisfaults

import (
	"testing"

	"github.com/podshare/podshare/internal/redistest"
)

func TestFleetSurvivesACrashThatLosesEverything(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	server.Kill()
	f.awaitCutOff()
	f.awaitWrites(5)
	server.RestartEmpty()
	f.settle()
}

// The pods hardly notice, but the stored rows are gone.
func TestFleetSurvivesQuickRestarts(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	for range 5 {
		server.Kill()
		server.RestartEmpty()
		f.awaitWrites(30)
	}
	f.settle()
}
