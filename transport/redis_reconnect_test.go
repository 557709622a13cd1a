//go:build unix

package transport_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// anyRedis is either kind of transport.
type anyRedis interface {
	transporttest.Table
	podshare.ConnectionNotifier
}

// redisPod is a transport, its subscription to "topic", and what it was told.
type redisPod struct {
	anyRedis
	t      *testing.T
	frames <-chan []byte
	links  chan bool // what NotifyConnection said
	errs   *reports
}

func newRedisPod(t *testing.T, opts transport.RedisOptions) *redisPod {
	t.Helper()
	errs := &reports{}
	opts.OnError = errs.add
	return startRedisPod(t, newRedis(t, opts), errs)
}

// startRedisPod listens and subscribes; errs is what the transport reports to.
func startRedisPod(t *testing.T, tr anyRedis, errs *reports) *redisPod {
	t.Helper()
	p := &redisPod{anyRedis: tr, t: t, links: make(chan bool, 1000), errs: errs}
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	p.NotifyConnection(t.Context(), "topic", func(connected bool) { p.links <- connected })
	var err error
	p.frames, err = p.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	return p
}

// wantLink waits for the next word on the connection.
func (p *redisPod) wantLink(connected bool) {
	p.t.Helper()
	select {
	case got := <-p.links:
		require.Equal(p.t, connected, got, "connected")
	case <-time.After(redisPatience):
		p.t.Fatalf("nobody tells that connected = %v", connected)
	}
}

func (p *redisPod) wantFrame(want []byte) {
	p.t.Helper()
	select {
	case got, open := <-p.frames:
		require.True(p.t, open)
		require.True(p.t, bytes.Equal(want, got), "got another frame, %d bytes", len(got))
	case <-time.After(redisPatience):
		p.t.Fatalf("the frame %.20q does not come", want)
	}
}

// wantToHear publishes once and receives.
func (p *redisPod) wantToHear(frame string) {
	p.t.Helper()
	require.NoError(p.t, p.Publish(p.t.Context(), "topic", []byte(frame)))
	p.wantFrame([]byte(frame))
}

func TestRedisSubscriptionSurvivesACrashOfTheServer(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr})
	for range 2 {
		p.wantToHear("before")
		server.Kill()
		p.wantLink(false)
		server.Restart()
		p.wantLink(true)
		// The pool still has connections to the process that died.
		require.Eventually(t, func() bool { return p.Publish(t.Context(), "topic", []byte("after")) == nil }, redisPatience, time.Millisecond)
		p.wantFrame([]byte("after"))
	}
	require.Empty(t, p.links)
	require.ErrorContains(t, p.errs.all(), `topic "topic": connection lost`)
}

func TestRedisSubscriptionSurvivesAKilledConnection(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr})
	admin := server.Client()
	for range 3 {
		require.EqualValues(t, 1, admin.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Val())
		p.wantLink(false)
		p.wantLink(true)
		p.wantToHear("after")
	}
	require.EqualValues(t, 1, admin.PubSubNumSub(t.Context(), "{podshare:topic}:frames").Val()["{podshare:topic}:frames"],
		"no connection is left over")
}

func TestRedisSubscriptionNoticesAFrozenServer(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr, PingInterval: 100 * time.Millisecond})
	server.Freeze()
	p.wantLink(false)
	server.Thaw()
	p.wantLink(true)
	p.wantToHear("after")
	require.ErrorContains(t, p.errs.all(), "does not answer")
}

// The server cuts off whoever it cannot get rid of its output to: here one frame is too much.
func TestRedisSubscriptionSurvivesTheOutputBufferLimit(t *testing.T) {
	server := redistest.Start(t, "--client-output-buffer-limit", "pubsub 1mb 0 0")
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr})
	require.NoError(t, p.Publish(t.Context(), "topic", make([]byte, 8<<20)))
	p.wantLink(false)
	p.wantLink(true)
	p.wantToHear("after")
}

// An idle subscription is asked for signs of life, which do not count as frames.
func TestRedisSubscriptionStaysWhileNothingIsPublished(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr, PingInterval: 50 * time.Millisecond})
	admin := server.Client()
	pings := func() int {
		stats := admin.InfoMap(t.Context(), "commandstats").Val()
		return len(stats["Commandstats"]["cmdstat_ping"])
	}
	require.Eventually(t, func() bool { return pings() > len("calls=10,") }, redisPatience, 10*time.Millisecond)
	p.wantToHear("still here")
	require.Empty(t, p.links)
}

// A server that is gone for good: the subscription is still given up at once.
func TestRedisSubscriptionEndsWhileItTriesToConnect(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr})
	ctx, cancel := context.WithCancel(t.Context())
	other, err := p.Subscribe(ctx, "other")
	require.NoError(t, err)
	server.Kill()
	p.wantLink(false)
	cancel()
	select {
	case _, open := <-other:
		require.False(t, open)
	case <-time.After(redisPatience):
		t.Fatal("the channel stays open")
	}
	require.NoError(t, p.Close())
	_, open := <-p.frames
	require.False(t, open)
}

// Who begins to listen while the connection is lost hears so, and of its return.
func TestRedisTellsLateListeners(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisPod(t, transport.RedisOptions{Addr: server.Addr})
	server.Kill()
	p.wantLink(false)
	late := make(chan bool, 10)
	p.NotifyConnection(t.Context(), "topic", func(connected bool) { late <- connected })
	gone, cancel := context.WithCancel(t.Context())
	p.NotifyConnection(gone, "topic", func(bool) { t.Error("told after its ctx ended") })
	cancel()
	require.False(t, <-late)
	server.Restart()
	p.wantLink(true)
	require.True(t, <-late)
}
