package podshare_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport"
)

var errDown = errors.New("transport is down")

// outage is a transport of which parts are down while its flags are set.
type outage struct {
	*transport.MemoryTransport
	noTopic, noInbox, noFetch, noPublish atomic.Bool
	hangs                                atomic.Bool // Subscribe waits for its ctx
	attempts                             atomic.Int64
	open                                 atomic.Int64 // subscriptions that are
}

func (o *outage) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	o.attempts.Add(1)
	inbox := strings.Contains(topic, "@:")
	switch {
	case o.hangs.Load():
		<-ctx.Done()
		return nil, ctx.Err()
	case inbox && o.noInbox.Load(), !inbox && o.noTopic.Load():
		return nil, errDown
	}
	ch, err := o.MemoryTransport.Subscribe(ctx, topic)
	if err == nil {
		o.open.Add(1)
		context.AfterFunc(ctx, func() { o.open.Add(-1) })
	}
	return ch, err
}

func (o *outage) Publish(ctx context.Context, topic string, msg []byte) error {
	if o.noPublish.Load() {
		return errDown
	}
	return o.MemoryTransport.Publish(ctx, topic, msg)
}

func (o *outage) PublishExcept(ctx context.Context, topic string, msg []byte, own <-chan []byte) error {
	if o.noPublish.Load() {
		return errDown
	}
	return o.MemoryTransport.PublishExcept(ctx, topic, msg, own)
}

func (o *outage) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if o.noFetch.Load() {
		return nil, errDown
	}
	return o.MemoryTransport.FetchSnapshot(ctx, topic)
}

func (o *outage) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func(rows []podshare.SnapshotRow) error,
) error {
	if o.noFetch.Load() {
		return errDown
	}
	return o.MemoryTransport.ScanSnapshot(ctx, topic, section, fn)
}

// end ends the outage.
func (o *outage) end() {
	for _, flag := range []*atomic.Bool{&o.noTopic, &o.noInbox, &o.noFetch, &o.noPublish, &o.hangs} {
		flag.Store(false)
	}
}

var _ podshare.EchoFree = (*outage)(nil)

// With WithBackgroundStart New succeeds while the transport is down, at once, and connects in the background.
func TestBackgroundStartConnectsWhenTheTransportComesBack(t *testing.T) {
	for name, down := range map[string]func(o *outage){
		"everything fails":       func(o *outage) { o.noTopic.Store(true); o.noFetch.Store(true) },
		"subscribing hangs":      func(o *outage) { o.hangs.Store(true) },
		"the inbox fails":        func(o *outage) { o.noInbox.Store(true) },
		"the snapshot is missed": func(o *outage) { o.noFetch.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				broker := newMemory(t)
				a := open(t, broker, "a")
				require.NoError(t, a.Set(t.Context(), "theirs", "v"))
				pass(time.Second)

				o := &outage{MemoryTransport: broker}
				down(o)
				o.noPublish.Store(true)
				var log errorLog
				start := time.Now()
				b := open(t, o, "b", podshare.WithBackgroundStart[string](), log.to())
				require.Zero(t, time.Since(start), "New returns at once")
				require.Equal(t, podshare.CutOff, b.Health().State)
				events := b.Watch(t.Context())
				require.ErrorIs(t, b.Set(t.Context(), "mine", "v"), podshare.ErrBroadcast)
				requireHolds(t, b, "mine", "v")
				pass(10 * time.Second)
				require.Equal(t, podshare.CutOff, b.Health().State)
				require.False(t, b.Ready())
				require.LessOrEqual(t, o.open.Load(), int64(1), "halves of attempts that failed are ended")

				o.end()
				pass(40 * time.Second) // an attempt that hangs is given up after 30 s
				require.True(t, b.Ready())
				require.Equal(t, podshare.Synced, b.Health().State)
				requireSame(t, a, b)
				require.Len(t, a.Keys(), 2)
				require.EqualValues(t, 2, o.open.Load())
				got, _ := drain(events)
				require.Len(t, got, 2)
				require.Equal(t, "theirs", got[1].Key, "watchers see what comes with the snapshot")
				if name != "subscribing hangs" {
					require.Positive(t, log.count(errDown))
				}
				frames := b.Stats().Frames
				require.NoError(t, b.Set(t.Context(), "k", "v"))
				synctest.Wait()
				require.Equal(t, frames, b.Stats().Frames, "no echo")
				requireHolds(t, a, "k", "v")
				require.NoError(t, b.Close())
				synctest.Wait()
				require.Zero(t, o.open.Load())
			})
		})
	}
}

// Attempts come with pauses of 100 ms growing to 5 s; nothing else is sent or reported meanwhile.
func TestBackgroundStartTriesAndReportsMoreAndMoreRarely(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := &outage{MemoryTransport: newMemory(t)}
		o.noTopic.Store(true)
		o.noPublish.Store(true)
		var log errorLog
		tr := &tap{Transport: o}
		b := open(t, tr, "b", podshare.WithBackgroundStart[string](), log.to())
		pass(time.Minute)
		n := int(o.attempts.Load())
		require.Greater(t, n, 10)
		require.Less(t, n, 30)
		require.InDelta(t, n, log.count(errDown), 1, "each is reported")
		require.Empty(t, tr.sent(t, wire.KindHeartbeat), "nobody is to answer what cannot be heard")
		require.LessOrEqual(t, log.count(nil), n+1)
		pass(time.Hour)
		require.InDelta(t, 3600/5, int(o.attempts.Load())-n, 100)
		o.end()
		pass(10 * time.Second)
		require.Equal(t, podshare.Alone, b.Health().State)
		require.True(t, b.Ready())
	})
}

func TestCloseWhileAttachingReturnsPromptly(t *testing.T) {
	for name, down := range map[string]func(o *outage){
		"subscribing hangs": func(o *outage) { o.hangs.Store(true) },
		"subscribing fails": func(o *outage) { o.noTopic.Store(true) },
		"it works just now": func(*outage) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := &outage{MemoryTransport: newMemory(t)}
				down(o)
				b := open(t, o, "b", podshare.WithBackgroundStart[string]())
				if name != "it works just now" {
					pass(time.Second)
				}
				start := time.Now()
				require.NoError(t, b.Close())
				require.Zero(t, time.Since(start))
				synctest.Wait()
				require.Zero(t, o.open.Load())
			})
		})
	}
}

// By default New connects before it returns; an error means that nothing is left behind, and New may be tried again.
func TestNewThatFailsLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := &outage{MemoryTransport: newMemory(t)}
		for _, down := range []*atomic.Bool{&o.noTopic, &o.noInbox, &o.noFetch} {
			down.Store(true)
			_, err := podshare.New[string](t.Context(), topic, o)
			require.ErrorIs(t, err, errDown)
			synctest.Wait()
			require.Zero(t, o.open.Load())
			down.Store(false)
		}
		o.hangs.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := podshare.New[string](ctx, topic, o)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		o.end()
		a := open(t, o, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.EqualValues(t, 2, o.open.Load())
	})
}

// dead is a transport whose subscriptions end at once.
type dead struct{ podshare.Transport }

func (dead) Subscribe(context.Context, string) (<-chan []byte, error) {
	ended := make(chan []byte)
	close(ended)
	return ended, nil
}

// G11: a subscription that has ended when a store begins to listen is noticed.
func TestSubscriptionThatEndsAtOnceIsNoticed(t *testing.T) {
	for name, opts := range map[string][]podshare.Option[string]{
		"at once":           nil,
		"in the background": {podshare.WithBackgroundStart[string]()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, dead{newMemory(t)}, "a", opts...)
				pass(time.Minute)
				require.Equal(t, podshare.CutOff, s.Health().State)
			})
		})
	}
}

// A store that cannot hear anybody yet sends no heartbeats, also when it is seeded.
func TestBackgroundStartIsSilentUntilItHears(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := &outage{MemoryTransport: newMemory(t)}
		o.noInbox.Store(true)
		tr := &tap{Transport: o}
		s := open(t, tr, "a", podshare.WithBackgroundStart[string]())
		require.NoError(t, s.Seed(map[string]string{"k": "v"}))
		pass(time.Minute)
		require.Empty(t, tr.sent(t, wire.KindHeartbeat))
		o.end()
		pass(time.Minute)
		require.NotEmpty(t, tr.sent(t, wire.KindHeartbeat))
	})
}

// A transport that panics has failed, whoever called it: New says so, in the background it is reported and tried again.
func TestTransportThatPanicsHasFailed(t *testing.T) {
	for name, broken := range map[string]func(p *tap, broken *atomic.Bool){
		"subscribe": func(p *tap, broken *atomic.Bool) {
			p.onSubscribe = func(ctx context.Context, topic string) (<-chan []byte, error) {
				if broken.Load() {
					panic("no subscription")
				}
				return p.Transport.Subscribe(ctx, topic)
			}
		},
		"fetch": func(p *tap, broken *atomic.Bool) {
			p.onFetch = func(ctx context.Context, topic string) ([]byte, error) {
				if broken.Load() {
					panic("no snapshot")
				}
				return p.Transport.FetchSnapshot(ctx, topic)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr, down := &tap{Transport: newMemory(t)}, new(atomic.Bool)
				broken(tr, down)
				down.Store(true)
				_, err := podshare.New[string](t.Context(), topic, tr)
				require.ErrorIs(t, err, podshare.ErrPanic)

				var log errorLog
				s := open(t, tr, "a", podshare.WithBackgroundStart[string](), log.to())
				pass(time.Minute)
				require.Positive(t, log.count(podshare.ErrPanic))
				require.Equal(t, podshare.CutOff, s.Health().State)
				down.Store(false)
				pass(time.Minute)
				require.True(t, s.Ready())
			})
		})
	}
}

// Nor does a snapshot store that panics cost more than an error.
func TestSnapshotStoreThatPanicsHasFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr, down := &tap{Transport: newMemory(t)}, new(atomic.Bool)
		tr.onSnapshot = func(ctx context.Context, topic string, data []byte) error {
			if down.Load() {
				panic("no disk")
			}
			return tr.Transport.Snapshot(ctx, topic, data)
		}
		down.Store(true)
		s := open(t, tr, "a", log.to())
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Positive(t, log.count(podshare.ErrPanic))
		down.Store(false)
		pass(time.Minute)
		require.EqualValues(t, 1, s.Stats().Snapshots)
	})
}
