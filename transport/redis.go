package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/podshare/podshare"
)

// RedisTransport connects stores through Redis, or what speaks its protocol: frames by Pub/Sub, snapshots in
// keys. Single servers, Sentinel and Cluster work (see docs/redis.md). [NewRedisTransport] makes one.
//
// Pub/Sub delivers at most once: a pod that is cut off misses frames, and so does one that is slower than the
// others for long, which the server ends the connection of (client-output-buffer-limit pubsub). Either way the
// subscription reconnects by itself, tells so ([podshare.ConnectionNotifier]), and stores repair what they missed. A
// subscription has a connection of its own; a topic can have one at a time.
//
// All methods are safe for concurrent use.
type RedisTransport struct {
	client  redis.UniversalClient
	own     bool // Close closes client
	sharded bool // Pub/Sub is sharded, see publish and subscribe
	names   redisNames
	options RedisOptions

	dropped atomic.Uint64
	running sync.WaitGroup // goroutines of subscriptions, and of publishes if the client is our own
	close   func() error   // does it once

	// mu guards all below. It is never held while waiting.
	mu            sync.Mutex
	closed        bool
	subscriptions map[string]context.CancelFunc // by topic: ends it
	listeners     map[string][]*redisListener   // by topic
}

var (
	_ podshare.Transport          = (*RedisTransport)(nil)
	_ podshare.ConnectionNotifier = (*RedisTransport)(nil)
	_ podshare.SnapshotTable      = (*RedisTransport)(nil)
)

// NewRedisTransport returns a transport after the server has answered. It fails within some seconds if none can be
// reached, if it refuses the login, or if it is older than Redis 6.
func NewRedisTransport(opts RedisOptions) (*RedisTransport, error) {
	opts, err := opts.normalized()
	if err != nil {
		return nil, err
	}
	t := &RedisTransport{
		client:        opts.Client,
		names:         newRedisNames(opts.Prefix),
		options:       opts,
		subscriptions: map[string]context.CancelFunc{},
		listeners:     map[string][]*redisListener{},
	}
	if t.client == nil {
		t.client, t.own = opts.dial(), true
	}
	t.close = sync.OnceValue(t.closeOnce)
	server, err := probeRedis(t.client, opts)
	if err != nil {
		_ = t.close() // the reason is known
		return nil, err
	}
	t.sharded = server.cluster && server.major >= 7
	return t, nil
}

// Publish sends msg to the subscribers of topic. That there are none is no error. It returns [ErrClosed],
// [ErrEmptyTopic], the error of a ctx that has ended, or what Redis or the connection said; the frame may have been
// sent all the same.
func (t *RedisTransport) Publish(ctx context.Context, topic string, msg []byte) error {
	return t.send(ctx, topic, func() error { return t.publish(ctx, topic, msg) })
}

// send returns what publish does, when ctx ends at the latest.
func (t *RedisTransport) send(ctx context.Context, topic string, publish func() error) error {
	if err := t.check(ctx, topic); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return t.failed("publish", topic, publish())
	}
	// go-redis heeds a deadline if its options say so, and a ctx that is cancelled not before the next step.
	sent := make(chan error, 1)
	if !t.start(func() { sent <- publish() }) {
		return ErrClosed
	}
	select {
	case err := <-sent:
		return t.failed("publish", topic, err)
	case <-ctx.Done():
		return t.failed("publish", topic, ctx.Err())
	}
}

func (t *RedisTransport) publish(ctx context.Context, topic string, msg []byte) error {
	if t.sharded {
		return t.client.SPublish(ctx, t.names.channel(topic), msg).Err()
	}
	return t.client.Publish(ctx, t.names.channel(topic), msg).Err()
}

// Snapshot replaces the snapshot of topic, and its expiry begins anew. Empty data removes it. Errors are those of
// [RedisTransport.Publish].
func (t *RedisTransport) Snapshot(ctx context.Context, topic string, data []byte) error {
	if err := t.check(ctx, topic); err != nil {
		return err
	}
	key := t.names.snapshot(topic)
	if len(data) == 0 {
		return t.failed("snapshot", topic, t.client.Del(ctx, key).Err())
	}
	return t.failed("snapshot", topic, t.client.Set(ctx, key, data, max(t.options.SnapshotTTL, 0)).Err())
}

// FetchSnapshot returns the snapshot of topic, nil if there is none. Errors are those of [RedisTransport.Publish].
func (t *RedisTransport) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	data, err := t.client.Get(ctx, t.names.snapshot(topic)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return data, t.failed("fetch snapshot", topic, err)
}

// Dropped counts the frames that a subscriber missed because its queue was full.
func (t *RedisTransport) Dropped() uint64 { return t.dropped.Load() }

// Close ends every subscription and waits for their goroutines, up to 5 seconds if one is just connecting to a server
// that hangs. A Client that was given to [NewRedisTransport] stays open; a Publish that it is busy with ends by its
// time-outs. Further calls do nothing.
func (t *RedisTransport) Close() error { return t.close() }

func (t *RedisTransport) closeOnce() error {
	t.mu.Lock()
	t.closed = true
	for _, end := range t.subscriptions {
		end()
	}
	t.mu.Unlock()
	var err error
	if t.own {
		err = t.client.Close()
	}
	t.running.Wait()
	return err
}

// start runs fn on a goroutine, unless the transport is closed. Close waits for it if it can make it end, by
// closing the client.
func (t *RedisTransport) start(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return false
	case t.own:
		t.running.Go(fn)
	default:
		go fn()
	}
	return true
}

// check is what all methods refuse: closed, before anything else.
func (t *RedisTransport) check(ctx context.Context, topic string) error {
	switch {
	case t.isClosed():
		return ErrClosed
	case topic == "":
		return ErrEmptyTopic
	default:
		return ctx.Err()
	}
}

func (t *RedisTransport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// failed says what failed, and nil that nothing did.
func (t *RedisTransport) failed(what, topic string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.ErrClosed) && t.isClosed():
		err = ErrClosed
	case redis.HasErrorPrefix(err, "MOVED") && !t.followsSlots():
		err = fmt.Errorf("the server is one of a Cluster, RedisOptions.Client must be a *redis.ClusterClient: %w", err)
	}
	return fmt.Errorf("redis: topic %q: %s: %w", topic, what, err)
}

// followsSlots tells whether the client is a Cluster's.
func (t *RedisTransport) followsSlots() bool {
	_, follows := t.client.(clusterMaster)
	return follows
}

// report calls the error handler; the caller holds no lock.
func (t *RedisTransport) report(topic string, err error) {
	if t.options.OnError == nil {
		return
	}
	defer func() { _ = recover() }() // there is nobody left to tell
	t.options.OnError(fmt.Errorf("redis: topic %q: %w", topic, err))
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
