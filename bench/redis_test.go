//go:build unix

package bench

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// traffic counts the bytes of connections to Redis, both ways.
type traffic struct{ bytes atomic.Int64 }

// dial is a Dialer of go-redis.
func (t *traffic) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &countedConn{conn, t}, err
}

type countedConn struct {
	net.Conn
	t *traffic
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.bytes.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.t.bytes.Add(int64(n))
	return n, err
}

// counted makes a client count.
func counted(t *traffic) func(*redis.Options) {
	return func(o *redis.Options) {
		o.Dialer = t.dial
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
	}
}

func newRedis(b testing.TB, opts transport.RedisOptions) *transport.RedisTransport {
	b.Helper()
	t, err := transport.NewRedisTransport(opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = t.Close() })
	return t
}

// redisSnapshots keeps snapshots in Redis and moves frames through memory, so that what goes to Redis is nothing but
// snapshots.
type redisSnapshots struct {
	*transport.RedisTransport
	frames *transport.MemoryTransport
}

func (r *redisSnapshots) Publish(ctx context.Context, topic string, msg []byte) error {
	return r.frames.Publish(ctx, topic, msg)
}

func (r *redisSnapshots) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	return r.frames.Subscribe(ctx, topic)
}

// serverCPU is the processor time that a server has used.
func serverCPU(b testing.TB, client *redis.Client) time.Duration {
	b.Helper()
	info, err := client.Info(context.Background(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	var sum float64
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_user" && name != "used_cpu_sys" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second))
}

// startRedis starts a server that does as little as it can by itself.
func startRedis(b testing.TB) *redistest.Server {
	b.Helper()
	return redistest.Start(b, "--hz", "1", "--dynamic-hz", "no")
}
