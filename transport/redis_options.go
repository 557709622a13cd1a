package transport

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	defaultRedisPrefix      = "podshare"
	defaultRedisQueue       = 1024
	defaultRedisSnapshotTTL = 30 * 24 * time.Hour
	defaultRedisPing        = 3 * time.Second

	// redisQueueBytes is how much of frames waits for the reader of a subscription by Pub/Sub.
	redisQueueBytes = 64 << 20

	// redisConnectTimeout bounds reaching a server and its first answer.
	redisConnectTimeout = 5 * time.Second
)

// RedisOptions says where Redis is, and how a [RedisTransport] uses it. Either Addr or Client is needed.
type RedisOptions struct {
	// Addr is host:port of a single server.
	Addr string

	// Username and Password log in. Without a Username it is the default user's password, if there is one at all.
	Username, Password string

	// DB is the number of the database that snapshots are kept in, 0 by default. Frames pass between all databases
	// of a server: what separates two fleets is the Prefix.
	DB int

	// TLSConfig makes connections speak TLS. Without, they are plain.
	TLSConfig *tls.Config

	// Client is used instead of Addr and what belongs to it: a Sentinel, Cluster or otherwise configured client of
	// go-redis. Close leaves it open. Do not let it read from replicas: they may be behind. Set its DialerRetries to 1:
	// else go-redis tries for half a second before it admits that a connection is lost.
	Client redis.UniversalClient

	// Prefix begins the names of all channels and keys, to separate fleets on one Redis. The default, also for "",
	// is podshare.
	Prefix string

	// OnError hears of lost connections, attempts to reconnect that fail with an error that differs from the one
	// before, and dropped frames, by an error that wraps [ErrQueueFull]: once when a subscription begins to lose frames
	// and not again until it has caught up with half of its queue. It runs on the subscription's goroutine, should return
	// soon, and must not close the transport. A panic in it is discarded. By default nobody hears of them.
	OnError func(error)

	// QueueFrames is how many frames wait for the reader of a subscription, fewer if that would be more than 64 MiB. The
	// default, also for zero and below, is 1024.
	QueueFrames int

	// SnapshotTTL is how long Redis keeps the snapshot of a topic that no store has touched, one server's clock
	// applying. The default, also for zero, is 30 days; if it is negative, snapshots are kept for ever. Stores that write
	// nothing look every minute or two: less than some minutes loses snapshots of fleets that live.
	SnapshotTTL time.Duration

	// PingInterval is how often the connection of a subscription is asked whether it is alive. One that has been
	// silent for a whole interval then, with the last question unanswered, counts as lost: a server that hangs is noticed
	// after one to two intervals. The default, also for zero and below, is 3 s. A frame must arrive whole within
	// an interval.
	PingInterval time.Duration
}

// normalized returns the options with their defaults, or what is wrong with them.
func (o RedisOptions) normalized() (RedisOptions, error) {
	o.Prefix = cmp.Or(o.Prefix, defaultRedisPrefix)
	o.SnapshotTTL = cmp.Or(o.SnapshotTTL, defaultRedisSnapshotTTL)
	if o.QueueFrames <= 0 {
		o.QueueFrames = defaultRedisQueue
	}
	if o.PingInterval <= 0 {
		o.PingInterval = defaultRedisPing
	}
	switch {
	case o.Client == nil && o.Addr == "":
		return o, errors.New("redis: RedisOptions needs Addr or Client")
	case o.Client != nil && o.serverOptions() != "":
		return o, fmt.Errorf("redis: RedisOptions has a Client and also %s, which belong into the Client's own options", o.serverOptions())
	case o.DB < 0:
		return o, fmt.Errorf("redis: RedisOptions.DB is %d", o.DB)
	case o.Username != "" && o.Password == "":
		return o, errors.New("redis: RedisOptions has a Username without a Password")
	case o.SnapshotTTL > 0 && o.SnapshotTTL < time.Second:
		return o, fmt.Errorf("redis: RedisOptions.SnapshotTTL is %v, at least a second is needed", o.SnapshotTTL)
	}
	return o, nil
}

// serverOptions names the options that are set and say nothing to a given Client.
func (o RedisOptions) serverOptions() string {
	var set []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Addr", o.Addr != ""},
		{"Username", o.Username != ""},
		{"Password", o.Password != ""},
		{"DB", o.DB != 0},
		{"TLSConfig", o.TLSConfig != nil},
	} {
		if f.set {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, ", ")
}

// dial returns a client of our own. It sends nothing but what the transport asks for, so that a user of the
// server needs few rights.
func (o RedisOptions) dial() redis.UniversalClient {
	return redis.NewClient(&redis.Options{
		Addr:      o.Addr,
		Username:  o.Username,
		Password:  o.Password,
		DB:        o.DB,
		TLSConfig: o.TLSConfig,

		Protocol:                 2, // nothing here needs 3
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		ContextTimeoutEnabled: true,
		DialTimeout:           redisConnectTimeout,
		DialerRetries:         1, // who waits to reconnect here has a backoff
	})
}
