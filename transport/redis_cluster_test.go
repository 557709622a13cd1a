//go:build unix

package transport_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

func TestRedisKeepsTheContractOnACluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		return newRedis(t, transport.RedisOptions{Client: redistest.ClusterClient(t, servers)})
	})
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table {
		return newRedis(t, transport.RedisOptions{Client: redistest.ClusterClient(t, servers)})
	})
}

// Redis 7 has sharded Pub/Sub: a frame stays on the server that has its topic's slot.
func TestRedisFramesStayOnOneServerOfACluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	p := newRedisPod(t, transport.RedisOptions{Client: redistest.ClusterClient(t, servers)})
	p.wantToHear("frame")
	subscribers := int64(0)
	for _, s := range servers {
		n := s.Client().PubSubShardNumSub(t.Context(), "{podshare:topic}:frames").Val()
		subscribers += n["{podshare:topic}:frames"]
	}
	require.EqualValues(t, 1, subscribers)
}

// The server tells its subscribers when a slot is no longer its own; the subscription moves after it.
func TestRedisSubscriptionFollowsItsSlot(t *testing.T) {
	servers := redistest.StartCluster(t)
	client := redistest.ClusterClient(t, servers)
	p := newRedisPod(t, transport.RedisOptions{Client: client})
	p.wantToHear("before")
	moveRedisSlot(t, servers, client)
	p.wantLink(false)
	p.wantLink(true)
	p.wantToHear("after")
}

// moveRedisSlot gives the slot of "topic" to another server.
func moveRedisSlot(t *testing.T, servers []*redistest.Server, client *redis.ClusterClient) {
	t.Helper()
	slot := client.ClusterKeySlot(t.Context(), "{podshare:topic}").Val()
	owner := servers[int(slot)*len(servers)/16384]
	next := servers[(int(slot)*len(servers)/16384+1)%len(servers)]
	id := next.Client().ClusterMyID(t.Context()).Val()
	for _, s := range []*redistest.Server{next, owner} {
		require.NoError(t, s.Client().Do(t.Context(), "cluster", "setslot", slot, "node", id).Err())
	}
}

func TestRedisSubscriptionSurvivesAFailover(t *testing.T) {
	fleet := redistest.StartSentinel(t)
	p := newRedisPod(t, transport.RedisOptions{Client: fleet.Client()})
	p.wantToHear("before")
	fleet.Master.Kill()
	p.wantLink(false)
	p.wantLink(true)
	require.Eventually(t, func() bool { return p.Publish(t.Context(), "topic", []byte("after")) == nil }, redisPatience, redisPoll)
	p.wantFrame([]byte("after"))
	require.EqualValues(t, 1, fleet.Replica.Client().PubSubNumSub(t.Context(), "{podshare:topic}:frames").Val()["{podshare:topic}:frames"])
}
