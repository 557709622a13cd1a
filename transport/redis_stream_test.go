package transport_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

const redisStreamKey = "{podshare:topic}:stream"

// newRedisStream returns a transport that the caller closes.
func newRedisStream(t *testing.T, opts transport.RedisStreamOptions) *transport.RedisStreamTransport {
	t.Helper()
	tr, err := transport.NewRedisStreamTransport(opts)
	require.NoError(t, err)
	return tr
}

// redisAt is all that is needed to reach a server.
func redisAt(addr string) transport.RedisStreamOptions {
	return transport.RedisStreamOptions{RedisOptions: transport.RedisOptions{Addr: addr}}
}

func TestRedisStreamKeepsTheContractOnMiniredis(t *testing.T) {
	opts := redisAt(miniredis.RunT(t).Addr())
	opts.MaxLen = 200 // it goes through all entries to find the last
	transporttest.Run(t, func(t *testing.T) transporttest.Transport { return newRedisStream(t, opts) })
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table { return newRedisStream(t, opts) })
}

func TestRedisStreamSaysWhatIsWrongWithItsOptions(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	somewhere := transport.RedisOptions{Addr: "127.0.0.1:1"}
	for want, opts := range map[string]transport.RedisStreamOptions{
		"needs Addr or Client":    {},
		"MaxLen is -1":            {RedisOptions: somewhere, MaxLen: -1},
		"MaxBytes is -1":          {RedisOptions: somewhere, MaxBytes: -1},
		"StreamTTL is 1ms":        {RedisOptions: somewhere, StreamTTL: time.Millisecond},
		"StreamTTL is -1ns":       {RedisOptions: somewhere, StreamTTL: -1},
		"PingInterval is 1ns":     {RedisOptions: transport.RedisOptions{Addr: "127.0.0.1:1", PingInterval: 1}},
		"Client is a *redis.Ring": {RedisOptions: transport.RedisOptions{Client: ring}},
	} {
		_, err := transport.NewRedisStreamTransport(opts)
		require.ErrorContains(t, err, want)
	}
}

func TestRedisStreamAllowsOneSubscriptionPerTopic(t *testing.T) {
	tr := newRedisStream(t, redisAt(miniredis.RunT(t).Addr()))
	defer tr.Close()
	_, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	_, err = tr.Subscribe(t.Context(), "topic")
	require.ErrorIs(t, err, transport.ErrTopicInUse)
}

// Whatever is published once Subscribe has returned comes, though nothing was read yet.
func TestRedisStreamSubscriptionBeginsWhereSubscribeReturns(t *testing.T) {
	tr := newRedisStream(t, redisAt(miniredis.RunT(t).Addr()))
	defer tr.Close()
	for i := range 20 {
		before, after := fmt.Sprint("before ", i), fmt.Sprint("after ", i)
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte(before)))
		ctx, cancel := context.WithCancel(t.Context())
		frames, err := tr.Subscribe(ctx, "topic")
		require.NoError(t, err)
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte(after)))
		require.Equal(t, after, string(<-frames))
		cancel()
		for range frames {
		}
	}
	require.Zero(t, tr.Gaps())
}

// The reader is held up after one frame of a queue of one, and gets all in order all the same.
func TestRedisStreamLosesNothingForASlowReader(t *testing.T) {
	const frames = 500
	opts := redisAt(miniredis.RunT(t).Addr())
	opts.QueueFrames = 1
	tr := newRedisStream(t, opts)
	defer tr.Close()
	in, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	for i := range frames {
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte(fmt.Sprint(i))))
	}
	for i := range frames {
		require.Equal(t, fmt.Sprint(i), string(<-in))
	}
	require.Zero(t, tr.Gaps())
}

func TestRedisStreamClosesUnderAReaderThatDoesNotRead(t *testing.T) {
	opts := redisAt(miniredis.RunT(t).Addr())
	opts.QueueFrames = 1
	tr := newRedisStream(t, opts)
	in, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	for i := range 10 {
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte{byte(i)}))
	}
	require.Eventually(t, func() bool { return len(in) == 1 }, redisPatience, time.Millisecond)
	require.NoError(t, tr.Close())
	require.Equal(t, []byte{0}, <-in)
	_, open := <-in
	require.False(t, open)
}

// A stream that nobody publishes on expires; each Publish renews that when a tenth of the time is over.
func TestRedisStreamExpires(t *testing.T) {
	server := miniredis.RunT(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	server.SetTime(now)
	pass := func(d time.Duration) {
		now = now.Add(d)
		server.SetTime(now)
		server.FastForward(d)
	}
	opts := redisAt(server.Addr())
	opts.StreamTTL = 100 * time.Second
	tr := newRedisStream(t, opts)
	defer tr.Close()
	publish := func() { require.NoError(t, tr.Publish(t.Context(), "topic", []byte("frame"))) }
	publish()
	pass(9 * time.Second)
	publish()
	require.Equal(t, 91*time.Second, server.TTL(redisStreamKey))
	pass(2 * time.Second)
	publish()
	require.Equal(t, 100*time.Second, server.TTL(redisStreamKey))
	pass(100 * time.Second)
	require.False(t, server.Exists(redisStreamKey))
}

// What was read before a stream expired is not missed.
func TestRedisStreamThatExpiresIsNoGap(t *testing.T) {
	server := miniredis.RunT(t)
	opts := redisAt(server.Addr())
	opts.PingInterval = 300 * time.Millisecond // and twice that is a lost connection
	tr := newRedisStream(t, opts)
	defer tr.Close()
	in, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	publish := func() {
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte("frame")))
		<-in
	}
	publish()
	server.Del(redisStreamKey)
	idle := server.CommandCount() + 10 // by then the reader has looked
	require.Eventually(t, func() bool { return server.CommandCount() > idle }, redisPatience, time.Millisecond)
	publish()
	require.Zero(t, tr.Gaps())
}

func TestRedisStreamSkipsWhatIsNoFrame(t *testing.T) {
	server := miniredis.RunT(t)
	errs := &reports{}
	opts := redisAt(server.Addr())
	opts.OnError = errs.add
	tr := newRedisStream(t, opts)
	defer tr.Close()
	in, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	for _, fields := range [][]string{{"some", "thing"}, {"frame", "without the one before"}, {"prev", "0-0"}} {
		_, err := server.XAdd(redisStreamKey, "*", fields)
		require.NoError(t, err)
	}
	require.NoError(t, tr.Publish(t.Context(), "topic", []byte("frame")))
	require.Equal(t, "frame", string(<-in))
	require.ErrorContains(t, errs.all(), "is not a frame")
	require.NotErrorIs(t, errs.all(), transport.ErrStreamGap)
	require.Zero(t, tr.Gaps())
}
