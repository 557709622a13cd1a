//go:build unix

package redisfaults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/redistest"
)

func TestFleetSurvivesKilledConnections(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	admin := server.Client()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range 50 {
		<-ticker.C
		require.NoError(t, admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
		require.NoError(t, admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
	}
	for _, p := range f.pods {
		p.mu.Lock()
		require.NotEmpty(t, p.lost, "%s: its transport told nobody of lost connections", p.NodeID())
		p.mu.Unlock()
	}
	f.settle()
}
