//go:build unix

package redisfaults

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
)

// Frames still pass, but nothing can be stored, which the pods say.
func TestFleetSurvivesAFullServer(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	f := startFleet(t, 3, at(server.Addr))
	server.ConfigSet("maxmemory", "1")
	f.awaitWrites(100)
	fleettest.Poll(t, "a pod to say that the server is full", func() bool { return f.anyHeard("OOM") })
	server.ConfigSet("maxmemory", "0")
	f.settle()
}

// A server that is full throws the stored rows away, again and again.
func TestFleetSurvivesEviction(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	f := startFleet(t, 3, at(server.Addr))
	admin := server.Client()
	evicted := func() int {
		stats, err := admin.InfoMap(t.Context(), "stats").Result()
		require.NoError(t, err)
		keys, err := strconv.Atoi(stats["Stats"]["evicted_keys"])
		require.NoError(t, err)
		return keys
	}
	for before := evicted(); evicted() < before+6; {
		server.ConfigSet("maxmemory", "1")
		f.awaitWrites(20)
		server.ConfigSet("maxmemory", "0")
		f.awaitWrites(20)
	}
	f.settle()
}
