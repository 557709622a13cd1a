package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// redisPatience is how long a test waits for what must happen, on a loaded machine.
const redisPatience = 20 * time.Second

// redisPoll is how often it looks.
const redisPoll = 10 * time.Millisecond

// reports collects what OnError hears.
type reports struct {
	mu   sync.Mutex // guards list
	list []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err)
}

func (r *reports) all() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.list...)
}

// newRedis returns a transport that the caller closes.
func newRedis(t *testing.T, opts transport.RedisOptions) *transport.RedisTransport {
	t.Helper()
	tr, err := transport.NewRedisTransport(opts)
	require.NoError(t, err)
	return tr
}

func TestRedisKeepsTheContractOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		return newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	})
}

func TestRedisKeepsTheContractOfTablesOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table {
		return newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	})
}

func TestRedisAllowsOneSubscriptionPerTopic(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	ctx, cancel := context.WithCancel(t.Context())
	frames, err := tr.Subscribe(ctx, "topic")
	require.NoError(t, err)
	_, err = tr.Subscribe(t.Context(), "topic")
	require.ErrorIs(t, err, transport.ErrTopicInUse)
	require.ErrorContains(t, err, `"topic"`)
	cancel()
	for range frames {
	}
	_, err = tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
}

// A subscription that fails gives its topic back.
func TestRedisSubscribeCanBeTriedAgain(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	server.SetError("ERR not now")
	_, err := tr.Subscribe(t.Context(), "topic")
	require.ErrorContains(t, err, "not now")
	server.SetError("")
	_, err = tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
}

func TestRedisDropsWhatAFullQueueCannotTake(t *testing.T) {
	server := miniredis.RunT(t)
	errs := &reports{}
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr(), QueueFrames: 2, OnError: func(err error) {
		errs.add(err)
		panic("handler")
	}})
	defer tr.Close()
	full, err := tr.Subscribe(t.Context(), "full")
	require.NoError(t, err)
	for i := range 5 {
		require.NoError(t, tr.Publish(t.Context(), "full", []byte{byte(i)}))
	}
	require.Eventually(t, func() bool { return tr.Dropped() == 3 }, redisPatience, time.Millisecond)
	require.Equal(t, []byte{0}, <-full)
	require.Equal(t, []byte{1}, <-full)
	require.Empty(t, full)
	require.ErrorIs(t, errs.all(), transport.ErrQueueFull)
	require.Equal(t, `redis: topic "full": `+transport.ErrQueueFull.Error(), errs.all().Error(), "reported once")
}

// Anybody can publish on a channel of Redis; what it is, is for stores to find out.
func TestRedisHandsOnWhatOthersPublish(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	frames, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	for _, garbage := range []string{"", "\r\n", "\x00\xff", "*1\r\n$4\r\nPING\r\n"} {
		server.Publish("{podshare:topic}:frames", garbage)
		require.Equal(t, garbage, string(<-frames))
	}
}

func TestRedisLeavesAGivenClientOpen(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	require.NoError(t, newRedis(t, transport.RedisOptions{Client: client}).Close())
	require.NoError(t, client.Ping(t.Context()).Err())
}

func TestRedisPrefixesSeparateFleets(t *testing.T) {
	server := miniredis.RunT(t)
	for i, pair := range [][2]string{
		{"", "topic"}, {"a", "b:c"}, {"a:b", "c"}, {"a}", "c"}, {"a%7D", "c"}, {"a", "}c"}, {"a", "%7Dc"}, {"a", "{c"}, {"{a", "c"},
	} {
		tr := newRedis(t, transport.RedisOptions{Addr: server.Addr(), Prefix: pair[0]})
		data, err := tr.FetchSnapshot(t.Context(), pair[1])
		require.NoError(t, err)
		require.Nil(t, data, "%q is somebody else's", pair)
		require.NoError(t, tr.Snapshot(t.Context(), pair[1], []byte{byte(i)}))
		require.NoError(t, tr.Close())
	}
	require.True(t, server.Exists("{podshare:topic}:snapshot"))
	require.True(t, server.Exists("{a%3Ab:c}:snapshot"))
	require.True(t, server.Exists("{a:%7Dc}:snapshot"))
}

func TestRedisRefuses(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func(ctx context.Context, topic string) error{
		"Publish":       func(ctx context.Context, topic string) error { return tr.Publish(ctx, topic, nil) },
		"Subscribe":     func(ctx context.Context, topic string) error { _, err := tr.Subscribe(ctx, topic); return err },
		"Snapshot":      func(ctx context.Context, topic string) error { return tr.Snapshot(ctx, topic, nil) },
		"FetchSnapshot": func(ctx context.Context, topic string) error { _, err := tr.FetchSnapshot(ctx, topic); return err },
	}
	for name, call := range calls {
		require.ErrorIs(t, call(t.Context(), ""), transport.ErrEmptyTopic, name)
		require.ErrorIs(t, call(ended, "topic"), context.Canceled, name)
	}
	require.NoError(t, tr.Close())
	for name, call := range calls {
		require.ErrorIs(t, call(ended, ""), transport.ErrClosed, "%s: closed comes first", name)
	}
}

func TestRedisSnapshotExpires(t *testing.T) {
	server := miniredis.RunT(t)
	for ttl, want := range map[time.Duration]time.Duration{0: 30 * 24 * time.Hour, time.Hour: time.Hour, -1: 0} {
		tr := newRedis(t, transport.RedisOptions{Addr: server.Addr(), SnapshotTTL: ttl})
		require.NoError(t, tr.Snapshot(t.Context(), "topic", []byte("data")))
		require.Equal(t, want, server.TTL("{podshare:topic}:snapshot"))
		require.NoError(t, tr.Snapshot(t.Context(), "topic", nil))
		require.False(t, server.Exists("{podshare:topic}:snapshot"))
		require.NoError(t, tr.Close())
	}
}

// go-redis would wait for the answer of a server that hangs, whatever becomes of ctx.
func TestRedisPublishReturnsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			command, err := readRESP(in)
			answer := "-ERR wrong number of arguments\r\n"
			switch {
			case err != nil:
				return
			case strings.EqualFold(command, "PING"):
				answer = "+PONG\r\n"
			case strings.EqualFold(command, "PUBLISH"):
				cancel()
				continue // without an answer
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
	client := redis.NewClient(&redis.Options{Addr: server, Protocol: 2, DisableIdentity: true, ReadTimeout: time.Hour})
	tr := newRedis(t, transport.RedisOptions{Client: client})
	returned := make(chan error, 1)
	go func() { returned <- tr.Publish(ctx, "topic", []byte("frame")) }()
	select {
	case err := <-returned:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(redisPatience):
		t.Error("Publish waits for a server that hangs")
	}
	require.NoError(t, tr.Close())
	require.NoError(t, client.Close())
}
