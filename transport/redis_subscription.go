package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// The delays between attempts to connect again: none before the first, then about these, each at random between
// half of it and all, so that the pods of a fleet do not come all at once.
const (
	redisBackoffFirst = 50 * time.Millisecond
	redisBackoffMost  = time.Second
)

// redisSubscription is a topic's subscription, however its frames come.
type redisSubscription struct {
	t      *RedisTransport
	topic  string
	source redisSource
}

// redisSource is where the frames of a subscription come from, and the channel they go to. Only the goroutine of the
// subscription calls its methods, but for the first connect, which is earlier.
type redisSource interface {
	// connect returns a receiver that the server has confirmed.
	connect(ctx context.Context) (redisReceiver, error)

	// end closes the channel.
	end()
}

// redisReceiver hands over frames until its connection or ctx ends, and closes the connection.
type redisReceiver func(ctx context.Context) error

// Subscribe returns the frames of a topic, after the server has confirmed the subscription. While the channel of an
// earlier one is open, it fails with [ErrTopicInUse]. Frames that the channel has no room for are dropped,
// counted ([RedisTransport.Dropped]) and reported. Other errors are those of [RedisTransport.Publish].
func (t *RedisTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	c := &redisChannel{t: t, topic: topic}
	c.queue.init(t.options.QueueFrames, redisQueueBytes)
	if err := t.begin(ctx, topic, c); err != nil {
		return nil, err
	}
	return c.queue.frames, nil
}

// begin starts a subscription once it is connected. It ends with ctx, or when the transport is closed.
func (t *RedisTransport) begin(ctx context.Context, topic string, source redisSource) error {
	if err := t.check(ctx, topic); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	if err := t.enter(topic, end); err != nil {
		end()
		return err
	}
	receive, err := source.connect(ctx)
	if err != nil {
		defer t.running.Done()
		t.leave(topic)
		end()
		if t.isClosed() {
			return ErrClosed
		}
		return t.failed("subscribe", topic, err)
	}
	s := &redisSubscription{t: t, topic: topic, source: source}
	go func() {
		s.run(ctx, receive)
		t.leave(topic)
		source.end()
		end()
		t.running.Done()
	}()
	return nil
}

// enter takes a topic for a subscription, which counts as running from now on.
func (t *RedisTransport) enter(topic string, end context.CancelFunc) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.subscriptions[topic] != nil:
		return fmt.Errorf("redis: topic %q: %w", topic, ErrTopicInUse)
	}
	t.subscriptions[topic] = end
	t.running.Add(1)
	return nil
}

// leave gives it back.
func (t *RedisTransport) leave(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subscriptions, topic)
}

// run receives until ctx ends, connecting again whenever it must.
func (s *redisSubscription) run(ctx context.Context, receive redisReceiver) {
	delay := time.Duration(0)
	for {
		s.t.announce(s.topic, true)
		began := time.Now()
		err := receive(ctx)
		if ctx.Err() != nil {
			return
		}
		s.t.announce(s.topic, false)
		s.t.report(s.topic, fmt.Errorf("connection lost: %w", err))
		if time.Since(began) > redisBackoffMost {
			delay = 0 // it was a good one: not cut off at once, over and over
		}
		if receive, delay = s.reconnect(ctx, delay); receive == nil {
			return
		}
	}
}

// reconnect tries until it succeeds; nil: ctx has ended. delay is what to wait first, and what to wait the next time.
func (s *redisSubscription) reconnect(ctx context.Context, delay time.Duration) (redisReceiver, time.Duration) {
	reported := ""
	for {
		if delay > 0 {
			pause(ctx, delay/2+rand.N(delay/2)) //nolint:gosec // spreads load, hides nothing
		}
		delay = min(max(2*delay, redisBackoffFirst), redisBackoffMost)
		receive, err := s.source.connect(ctx)
		switch {
		case err == nil:
			return receive, delay
		case ctx.Err() != nil:
			return nil, 0
		}
		s.t.announce(s.topic, false) // to those who listen since
		if err.Error() != reported {
			reported = err.Error()
			s.t.report(s.topic, fmt.Errorf("cannot connect again: %w", err))
		}
	}
}

// redisChannel is the source of a subscription by Pub/Sub.
type redisChannel struct {
	t     *RedisTransport
	topic string
	queue frameQueue
}

func (c *redisChannel) connect(ctx context.Context) (redisReceiver, error) {
	session, err := c.t.connect(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return session.receive(ctx, c.t.options.PingInterval, c.deliver) }, nil
}

func (c *redisChannel) end() { c.queue.end() }

// deliver queues a frame if there is room.
func (c *redisChannel) deliver(frame []byte) {
	switch c.queue.offer(frame) {
	case lostFirst:
		c.t.dropped.Add(1)
		c.t.report(c.topic, ErrQueueFull)
	case lost:
		c.t.dropped.Add(1)
	case taken:
	}
}
