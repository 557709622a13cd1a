//go:build unix

package redisfaults

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/redistest"
)

// Frames still pass: what is lost are the stored rows, and the scripts.
func TestFleetSurvivesFlushes(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	admin := server.Client()
	for range 5 {
		f.awaitWrites(50)
		require.NoError(t, admin.FlushAll(t.Context()).Err())
		require.NoError(t, admin.ScriptFlush(t.Context()).Err())
	}
	f.settle()
}
