//go:build unix

package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// through makes both kinds of pods use a client.
func through(client redis.UniversalClient) transport.RedisStreamOptions {
	return transport.RedisStreamOptions{RedisOptions: transport.RedisOptions{Client: client}}
}

func TestRedisStreamKeepsTheContract(t *testing.T) {
	server := redistest.Start(t)
	transporttest.Run(t,
		func(t *testing.T) transporttest.Transport { return newRedisStream(t, redisAt(server.Addr)) },
		transporttest.WithPair(func(t *testing.T) (from, to transporttest.Transport) {
			return newRedisStream(t, redisAt(server.Addr)), newRedisStream(t, through(server.Client()))
		}))
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table { return newRedisStream(t, redisAt(server.Addr)) })
}

func TestRedisStreamKeepsTheContractOnACluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		return newRedisStream(t, through(redistest.ClusterClient(t, servers)))
	})
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table {
		return newRedisStream(t, through(redistest.ClusterClient(t, servers)))
	})
}

// redisStreamPod is a redisPod of this kind.
type redisStreamPod struct {
	*redisPod
	stream *transport.RedisStreamTransport
}

func newRedisStreamPod(t *testing.T, opts transport.RedisStreamOptions) redisStreamPod {
	t.Helper()
	errs := &reports{}
	opts.OnError = errs.add
	tr := newRedisStream(t, opts)
	return redisStreamPod{startRedisPod(t, tr, errs), tr}
}

// wantGaps looks at once.
func (p redisStreamPod) wantGaps(n uint64) {
	p.t.Helper()
	require.Equal(p.t, n, p.stream.Gaps(), "gaps; reported: %v", p.errs.all())
}

// publishFrom appends first, first+1, … by a transport of its own, which has seen no failure.
func publishFrom(t *testing.T, opts transport.RedisStreamOptions, first, count int) {
	t.Helper()
	tr := newRedisStream(t, opts)
	defer tr.Close()
	for i := range count {
		require.NoError(t, tr.Publish(t.Context(), "topic", []byte(fmt.Sprint(first+i))))
	}
}

func (p redisStreamPod) wantFrames(first, count int) {
	p.t.Helper()
	for i := range count {
		p.wantFrame([]byte(fmt.Sprint(first + i)))
	}
}

func TestRedisStreamGoesOnAfterAKilledConnection(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisStreamPod(t, redisAt(server.Addr))
	publisher := newRedisStream(t, redisAt(server.Addr))
	defer publisher.Close()
	admin := server.Client()
	n := 0
	for range 20 {
		for range 20 {
			require.NoError(t, publisher.Publish(t.Context(), "topic", []byte(fmt.Sprint(n))))
			n++
		}
		require.NotZero(t, admin.ClientKillByFilter(t.Context(), "SKIPME", "yes").Val())
	}
	p.wantFrames(0, n)
	p.wantLink(false)
	p.wantLink(true)
	p.wantGaps(0)
	require.ErrorContains(t, p.errs.all(), "connection lost")
}

// What was published while the pod could not be back yet arrives. That the stream is a new one is a gap.
func TestRedisStreamGoesOnAfterACrash(t *testing.T) {
	for name, c := range map[string]struct {
		args []string // of the server
		gaps uint64
	}{
		"with data":    {[]string{"--appendonly", "yes", "--appendfsync", "always"}, 0},
		"without data": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, c.args...)
			p := newRedisStreamPod(t, redisAt(server.Addr))
			publishFrom(t, redisAt(server.Addr), 0, 10)
			p.wantFrames(0, 10)
			server.Kill()
			p.wantLink(false)
			server.Restart()
			publishFrom(t, redisAt(server.Addr), 10, 10)
			p.wantFrames(10, 10)
			p.wantLink(true)
			p.wantGaps(c.gaps)
			require.Equal(t, c.gaps > 0, errors.Is(p.errs.all(), transport.ErrStreamGap))
		})
	}
}

// The stream came back with IDs below the pod's, as after a failover to a replica that was behind and whose clock is.
func TestRedisStreamTellsOfAGapWhenTheStreamIsAnOlderOne(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.PingInterval = 300 * time.Millisecond // how soon an idle reader looks
	p := newRedisStreamPod(t, opts)
	admin := server.Client()
	add := func(id, prev, frame string) {
		values := []string{"prev", prev, "frame", frame}
		require.NoError(t, admin.XAdd(t.Context(), &redis.XAddArgs{Stream: redisStreamKey, ID: id, Values: values}).Err())
	}
	add("1000-0", "0-0", "newer")
	p.wantFrame([]byte("newer"))
	_, err := admin.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
		tx.Del(t.Context(), redisStreamKey)
		tx.XAdd(t.Context(), &redis.XAddArgs{Stream: redisStreamKey, ID: "500-0", Values: []string{"prev", "499-0", "frame", "missed"}})
		return nil
	})
	require.NoError(t, err)
	p.wantLink(false)
	p.wantLink(true)
	p.wantGaps(1)
	add("500-1", "500-0", "after")
	p.wantFrame([]byte("after"))
	p.wantGaps(1)
}

// A subscriber that stays connected but is slower than the stream is long.
func TestRedisStreamTellsASlowReaderOfItsGap(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.QueueFrames, opts.MaxLen = 1, 100
	p := newRedisStreamPod(t, opts)
	publishFrom(t, opts, 0, 10_000)
	require.LessOrEqual(t, server.Client().XLen(t.Context(), redisStreamKey).Val(), int64(200))
	p.wantFrame([]byte("0"))
	last := 0
	for last != 9999 {
		var n int
		_, err := fmt.Sscan(string(<-p.frames), &n)
		require.NoError(t, err)
		require.Greater(t, n, last, "in order")
		last = n
	}
	p.wantLink(false)
	p.wantLink(true)
	p.wantGaps(1)
	require.ErrorIs(t, p.errs.all(), transport.ErrStreamGap)
}

func TestRedisStreamTakesNoMoreThanItsBytes(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.MaxBytes = 10 << 20
	tr := newRedisStream(t, opts)
	defer tr.Close()
	for range 30 {
		require.NoError(t, tr.Publish(t.Context(), "topic", make([]byte, 1<<20)))
	}
	require.EqualValues(t, 10, server.Client().XLen(t.Context(), redisStreamKey).Val())
	require.NoError(t, tr.Publish(t.Context(), "topic", make([]byte, 11<<20)))
	require.EqualValues(t, 1, server.Client().XLen(t.Context(), redisStreamKey).Val(), "the newest frame always stays")
}

// Frames that push out the ones before them are no gap for a reader that keeps up.
func TestRedisStreamOfOneFrameHasNoGaps(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.MaxBytes = 1 << 20
	p := newRedisStreamPod(t, opts)
	for i := range 20 {
		frame := bytes.Repeat([]byte{byte(i)}, 1<<20)
		require.NoError(t, p.Publish(t.Context(), "topic", frame))
		p.wantFrame(frame)
	}
	p.wantGaps(0)
}

func TestRedisStreamNoticesAFrozenServer(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.PingInterval = 100 * time.Millisecond
	p := newRedisStreamPod(t, opts)
	server.Freeze()
	p.wantLink(false)
	server.Thaw()
	p.wantLink(true)
	p.wantToHear("after")
	require.ErrorContains(t, p.errs.all(), "does not answer")
	p.wantGaps(0)
}

// A read that the server holds back ends at once all the same, and its connection with it.
func TestRedisStreamClosesAtOnceUnderABlockedRead(t *testing.T) {
	server := redistest.Start(t)
	opts := redisAt(server.Addr)
	opts.PingInterval = time.Hour
	tr := newRedisStream(t, opts)
	_, err := tr.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	admin := server.Client()
	blocked := func() string { return admin.InfoMap(t.Context(), "clients").Val()["Clients"]["blocked_clients"] }
	require.Eventually(t, func() bool { return blocked() == "1" }, redisPatience, redisPoll)
	require.NoError(t, tr.Close())
	require.Eventually(t, func() bool { return blocked() == "0" }, redisPatience, redisPoll)
}

func TestRedisStreamOfAnotherTypeIsAnErrorUntilItIsDeleted(t *testing.T) {
	server := redistest.Start(t)
	p := newRedisStreamPod(t, redisAt(server.Addr))
	admin := server.Client()
	require.NoError(t, admin.Set(t.Context(), redisStreamKey, "a string", 0).Err())
	require.ErrorContains(t, p.Publish(t.Context(), "topic", []byte("frame")), "holds what is no stream")
	require.EqualValues(t, -1, admin.PTTL(t.Context(), redisStreamKey).Val(), "it is left alone")
	require.NoError(t, admin.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
	p.wantLink(false)
	require.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(p.errs.all()), "holds what is no stream") }, redisPatience, redisPoll)
	require.NoError(t, admin.Del(t.Context(), redisStreamKey).Err())
	p.wantLink(true)
	p.wantToHear("frame")
}

func TestRedisStreamFollowsItsSlot(t *testing.T) {
	servers := redistest.StartCluster(t)
	client := redistest.ClusterClient(t, servers)
	opts := through(client)
	opts.PingInterval = 100 * time.Millisecond // the server says so when the read ends
	p := newRedisStreamPod(t, opts)
	moveRedisSlot(t, servers, client)
	p.wantLink(false)
	p.wantLink(true)
	p.wantToHear("after")
}

func TestRedisStreamSurvivesAFailover(t *testing.T) {
	fleet := redistest.StartSentinel(t)
	p := newRedisStreamPod(t, through(fleet.Client()))
	publishFrom(t, through(fleet.Client()), 0, 10)
	p.wantFrames(0, 10)
	require.Eventually(t, func() bool {
		return fleet.Replica.Client().XLen(t.Context(), redisStreamKey).Val() == 10
	}, redisPatience, redisPoll)
	fleet.Master.Kill()
	p.wantLink(false)
	p.wantLink(true)
	require.Eventually(t, func() bool { return p.Publish(t.Context(), "topic", []byte("10")) == nil }, redisPatience, redisPoll)
	p.wantFrames(10, 1)
	p.wantGaps(0)
}

// The rule of docs/redis.md for streams is enough, and each part of it is needed.
func TestRedisStreamNeedsFewRights(t *testing.T) {
	server := redistest.Start(t)
	rule := redisRule(t, "podshare-streams")
	opts := redisAt(server.Addr)
	opts.Username, opts.Password = "podshare-streams", "secret"
	open := func() (transporttest.Table, error) { return transport.NewRedisStreamTransport(opts) }

	setRedisUser(t, server, opts.Username, rule)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport { return newRedisStream(t, opts) })
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table { return newRedisStream(t, opts) })
	p := newRedisStreamPod(t, opts)
	p.wantToHear("frame")

	wantAllOfRedisRule(t, server, opts.Username, rule, open)
}
