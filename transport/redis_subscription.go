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

// redisSubscription is a topic's subscription. Its run owns the queue's end.
type redisSubscription struct {
	t     *RedisTransport
	topic string
	queue frameQueue
}

// Subscribe returns the frames of a topic, after the server has confirmed the subscription. While the channel of an
// earlier one is open, it fails with [ErrTopicInUse]. Frames that the channel has no room for are dropped,
// counted ([RedisTransport.Dropped]) and reported. Other errors are those of [RedisTransport.Publish].
func (t *RedisTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	if err := t.enter(topic, end); err != nil {
		end()
		return nil, err
	}
	session, err := t.connect(ctx, topic)
	if err != nil {
		defer t.running.Done()
		t.leave(topic)
		end()
		if t.isClosed() {
			return nil, ErrClosed
		}
		return nil, t.failed("subscribe", topic, err)
	}
	s := &redisSubscription{t: t, topic: topic}
	s.queue.init(t.options.QueueFrames)
	go func() {
		s.run(ctx, session)
		t.leave(topic)
		s.queue.end()
		end()
		t.running.Done()
	}()
	return s.queue.frames, nil
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
func (s *redisSubscription) run(ctx context.Context, session *redisSession) {
	delay := time.Duration(0)
	for {
		s.t.announce(s.topic, true)
		began := time.Now()
		err := session.receive(ctx, s.t.options.PingInterval, s.deliver)
		if ctx.Err() != nil {
			return
		}
		s.t.announce(s.topic, false)
		s.t.report(s.topic, fmt.Errorf("connection lost: %w", err))
		if time.Since(began) > redisBackoffMost {
			delay = 0 // it was a good one: not cut off at once, over and over
		}
		if session, delay = s.reconnect(ctx, delay); session == nil {
			return
		}
	}
}

// reconnect tries until it succeeds; nil: ctx has ended. delay is what to wait first, and what to wait the next time.
func (s *redisSubscription) reconnect(ctx context.Context, delay time.Duration) (*redisSession, time.Duration) {
	reported := ""
	for {
		if delay > 0 {
			pause(ctx, delay/2+rand.N(delay/2)) //nolint:gosec // spreads load, hides nothing
		}
		delay = min(max(2*delay, redisBackoffFirst), redisBackoffMost)
		session, err := s.t.connect(ctx, s.topic)
		switch {
		case err == nil:
			return session, delay
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

// deliver queues a frame if there is room.
func (s *redisSubscription) deliver(frame []byte) {
	switch s.queue.offer(frame) {
	case lostFirst:
		s.t.dropped.Add(1)
		s.t.report(s.topic, ErrQueueFull)
	case lost:
		s.t.dropped.Add(1)
	case taken:
	}
}
