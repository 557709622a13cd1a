//go:build unix

package redisfaults

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// A Cluster without replicas stops when it loses a master: the one that has the topic's slot, or another one.
func TestFleetSurvivesTheLossOfAMaster(t *testing.T) {
	servers := redistest.StartCluster(t)
	f := startFleet(t, 3, func() transport.RedisOptions {
		return transport.RedisOptions{Client: redistest.ClusterClient(t, servers), PingInterval: pingInterval}
	})
	slot, err := servers[0].Client().ClusterKeySlot(t.Context(), "{podshare:topic}:frames").Result()
	require.NoError(t, err)
	owner := int(slot) * len(servers) / 16384
	for _, lost := range []*redistest.Server{servers[owner], servers[(owner+1)%len(servers)]} {
		for _, p := range f.pods {
			p.forgetErrors()
		}
		lost.Kill()
		f.await("the pods to complain", (*pod).complained)
		lost.Restart()
		for _, s := range servers {
			client := s.Client()
			fleettest.Poll(t, "the Cluster to work again", func() bool {
				return strings.Contains(client.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
			})
		}
	}
	f.settle()
}
