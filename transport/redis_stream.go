package transport

import (
	"context"
	"sync/atomic"

	"github.com/podshare/podshare"
)

// RedisStreamTransport is a [RedisTransport] whose frames pass through a stream of bounded length for each topic instead
// of Pub/Sub: a subscription that was cut off goes on where it was. It takes memory of Redis, and more of its time, to
// spare stores a repair after each lost connection and each burst that a pod is too slow for; see docs/redis.md for
// when that pays. [NewRedisStreamTransport] makes one. The two kinds of transport do not hear each other.
//
// What the stream of a topic still has reaches each subscription, in order. When it no longer reaches back to where a
// subscription was, or was lost, that is a gap: the subscription goes on with what there is, counts and reports it, and
// says by [podshare.ConnectionNotifier] that the connection was lost and is there again, so that stores repair what
// they missed.
//
// Whoever does not read holds up nobody: its frames wait in the stream. A subscription has a connection of its own; a
// topic can have one at a time. Snapshots, their tables, NotifyConnection and Close are those of RedisTransport.
//
// All methods are safe for concurrent use.
type RedisStreamTransport struct {
	*redisBase
	stream RedisStreamOptions
	gaps   atomic.Uint64
}

// redisBase is embedded without being a field that others could use.
type redisBase = RedisTransport

var (
	_ podshare.Transport          = (*RedisStreamTransport)(nil)
	_ podshare.ConnectionNotifier = (*RedisStreamTransport)(nil)
	_ podshare.SnapshotTable      = (*RedisStreamTransport)(nil)
)

// NewRedisStreamTransport returns a transport after the server has answered. It fails as [NewRedisTransport] does, and
// if a given Client is of a kind that reading streams does not work with.
func NewRedisStreamTransport(opts RedisStreamOptions) (*RedisStreamTransport, error) {
	opts, err := opts.normalized()
	if err != nil {
		return nil, err
	}
	if err := checkStreamClient(opts.Client); err != nil {
		return nil, err
	}
	base, err := NewRedisTransport(opts.RedisOptions)
	if err != nil {
		return nil, err
	}
	return &RedisStreamTransport{redisBase: base, stream: opts}, nil
}

// Publish appends msg to the stream of topic, in one round trip. Errors are those of [RedisTransport.Publish].
func (t *RedisStreamTransport) Publish(ctx context.Context, topic string, msg []byte) error {
	return t.send(ctx, topic, func() error {
		keys := []string{t.names.stream(topic)}
		ttl, length := t.stream.StreamTTL.Milliseconds(), t.stream.lengthAfter(len(msg))
		return explainRedisStream(redisAppend.Run(ctx, t.client, keys, ttl, length, msg).Err())
	})
}

// Subscribe returns the frames that are published on topic after it has returned, if not some from before. Their
// reader may be slow: nothing is dropped that the stream still has. While the channel of an earlier subscription is
// open, it fails with [ErrTopicInUse]. Other errors are those of [RedisTransport.Publish].
func (t *RedisStreamTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	r := &redisStreamReader{
		t:      t,
		topic:  topic,
		key:    t.names.stream(topic),
		frames: make(chan []byte, t.options.QueueFrames),
	}
	if err := t.begin(ctx, topic, r); err != nil {
		return nil, err
	}
	return r.frames, nil
}

// Gaps counts how often a subscription missed frames because the stream no longer had them.
func (t *RedisStreamTransport) Gaps() uint64 { return t.gaps.Load() }
