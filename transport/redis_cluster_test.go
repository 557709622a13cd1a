//go:build unix

package transport_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
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

// Two of three servers have not the topic's slot, and a client of one server cannot follow where they point.
func TestRedisSaysThatAServerIsOneOfACluster(t *testing.T) {
	refused := 0
	for _, s := range redistest.StartCluster(t) {
		tr := newRedis(t, transport.RedisOptions{Addr: s.Addr})
		_, subscribe := tr.Subscribe(t.Context(), "topic")
		publish := tr.Publish(t.Context(), "topic", []byte("frame"))
		_, heads := tr.SnapshotHeads(t.Context(), "topic", nil)
		require.NoError(t, tr.Close())
		if subscribe == nil {
			continue
		}
		refused++
		for _, err := range []error{subscribe, publish, heads} {
			require.ErrorContains(t, err, "RedisOptions.Client must be a *redis.ClusterClient")
		}
	}
	require.Equal(t, 2, refused)
}

// What docs/redis.md adds to the rights of both users on a Cluster is enough, and each part of it is asked for.
func TestRedisNeedsFewRightsOnACluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	doc, err := os.ReadFile("../docs/redis.md")
	require.NoError(t, err)
	added := regexp.MustCompile("On a Cluster add `(.*)`").FindAllStringSubmatch(string(doc), -1)
	require.Len(t, added, 2)
	open := func(client redis.UniversalClient, user string) (transporttest.Table, error) {
		if user == "podshare" {
			return transport.NewRedisTransport(transport.RedisOptions{Client: client})
		}
		return transport.NewRedisStreamTransport(through(client))
	}
	// use returns what the servers refused.
	use := func(t *testing.T, user string, rule []string) (refused string, err error) {
		t.Helper()
		for _, s := range servers {
			setRedisUser(t, s, user, rule)
			require.NoError(t, s.Client().Do(t.Context(), "acl", "log", "reset").Err())
		}
		client := redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: []string{servers[0].Addr}, Username: user, Password: "secret", ContextTimeoutEnabled: true, DialerRetries: 1,
		})
		defer client.Close()
		err = useRedis(t, func() (transporttest.Table, error) { return open(client, user) })
		for _, s := range servers {
			refused += fmt.Sprint(s.Client().Do(t.Context(), "acl", "log").Val())
		}
		return refused, err
	}
	for i, user := range []string{"podshare", "podshare-streams"} {
		rule, more := redisRule(t, user), strings.Fields(added[i][1])
		_, err := use(t, user, slices.Concat(rule, more))
		require.NoError(t, err)
		for j, part := range more {
			refused, _ := use(t, user, slices.Concat(rule, slices.Delete(slices.Clone(more), j, j+1)))
			require.Contains(t, refused, "object "+part[1:]+" ", "%s does without", user)
		}
	}
}
