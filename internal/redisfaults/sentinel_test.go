//go:build unix

package redisfaults

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// The master hangs, its replica takes over, and the old one comes back as a replica that takes no writes.
func TestFleetSurvivesAFailover(t *testing.T) {
	servers := redistest.StartSentinel(t)
	f := startFleet(t, 3, func() transport.RedisOptions {
		return transport.RedisOptions{Client: servers.Client(), PingInterval: pingInterval}
	})
	servers.Master.Freeze()
	replica := servers.Replica.Client()
	fleettest.Poll(t, "the replica to become the master", func() bool { return isMaster(t, replica) })
	f.await("the pods to complain", (*pod).complained)
	servers.Master.Thaw()
	old := servers.Master.Client()
	fleettest.Poll(t, "the old master to become a replica", func() bool { return !isMaster(t, old) })
	require.ErrorContains(t, old.Set(t.Context(), "key", "value", 0).Err(), "READONLY")
	f.settle()
}

func isMaster(t *testing.T, client *redis.Client) bool {
	t.Helper()
	info, err := client.Info(t.Context(), "replication").Result()
	return err == nil && strings.Contains(info, "role:master")
}
