package transport

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// clusterMaster is a Cluster's client.
type clusterMaster interface {
	MasterForKey(ctx context.Context, key string) (*redis.Client, error)
}

// checkStreamClient refuses a client that streamClient has no use for; nil is dialled as one that it has.
func checkStreamClient(client redis.UniversalClient) error {
	switch client.(type) {
	case nil, *redis.Client, clusterMaster:
		return nil
	default:
		return fmt.Errorf("redis: RedisOptions.Client is a %T, streams need a *redis.Client or *redis.ClusterClient", client)
	}
}

// streamClient returns a client for one subscription, of one connection to the server that has the key: a read that
// waits keeps it busy, and only closing the connection ends that at once. It tries nothing twice: whoever has it does.
func (t *RedisTransport) streamClient(ctx context.Context, key string) (*redis.Client, error) {
	node, ok := t.client.(*redis.Client)
	if cluster, is := t.client.(clusterMaster); is && !ok {
		var err error
		if node, err = cluster.MasterForKey(ctx, key); err != nil {
			return nil, err
		}
	}
	o := *node.Options() // with Sentinel its Dialer asks who is the master
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.PushNotificationProcessor, o.ClientSideCache, o.ClientSideCacheConfig = nil, nil, nil // they are the node's
	return redis.NewClient(&o), nil
}

func explainRedisStream(err error) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("the key of the topic that ends in :stream holds what is no stream; delete it: %w", err)
	}
	return err
}
