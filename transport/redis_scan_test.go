//go:build unix

package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// The order of a hash is another one in each process, and with it the meaning of a cursor.
func TestRedisScanMissesNothingWhenTheServerRestarts(t *testing.T) {
	const rows = 5000
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr})
	defer tr.Close()
	fillRedis(t, tr, rows)
	seen := map[string]bool{}
	steps := 0
	require.NoError(t, tr.ScanSnapshot(t.Context(), "topic", podshare.SnapshotEntries, func(step []podshare.SnapshotRow) error {
		for _, r := range step {
			seen[r.Key] = true
		}
		if steps++; steps == 3 {
			server.Kill()
			server.Restart()
		}
		return nil
	}))
	require.Len(t, seen, rows)
}

// A script is gone with the process that had it.
func TestRedisSwapsAfterTheServerForgotItsScripts(t *testing.T) {
	server := redistest.Start(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr})
	defer tr.Close()
	fillRedis(t, tr, 10)
	admin := server.Client()
	require.NoError(t, admin.FlushAll(t.Context()).Err())
	require.NoError(t, admin.ScriptFlush(t.Context()).Err())
	fillRedis(t, tr, 10)
}
