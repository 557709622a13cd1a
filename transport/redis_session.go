package transport

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	errRedisSilent       = errors.New("the server does not answer")
	errRedisUnsubscribed = errors.New("the server ended the subscription")
)

// redisSession is a subscription's life on one connection. go-redis would connect again by itself, and say nothing:
// so a session ends with the first error, and takes with it what go-redis may have opened since.
type redisSession struct {
	pubsub *redis.PubSub
	heard  atomic.Bool // something came since the watchdog looked last
	silent atomic.Bool // the watchdog closed pubsub
}

// connect returns a session that the server has confirmed.
func (t *RedisTransport) connect(ctx context.Context, topic string) (*redisSession, error) {
	within, cancel := context.WithTimeout(ctx, redisConnectTimeout)
	defer cancel()
	pubsub := t.subscribe(within, topic)
	stop := context.AfterFunc(within, func() { _ = pubsub.Close() })
	first, err := pubsub.Receive(within)
	_, confirmed := first.(*redis.Subscription)
	switch {
	case !stop() && ctx.Err() != nil:
		return nil, ctx.Err()
	case within.Err() != nil:
		err = errRedisSilent
	case err == nil && confirmed:
		return &redisSession{pubsub: pubsub}, nil
	case err == nil:
		err = fmt.Errorf("the server confirms a subscription by %v", first)
	}
	_ = pubsub.Close()
	t.forgetSlots(ctx)
	return nil, err
}

// subscribe asks for the frames of topic. If that fails, it is tried once more by the first Receive, which returns
// the error.
func (t *RedisTransport) subscribe(ctx context.Context, topic string) *redis.PubSub {
	if t.sharded {
		return t.client.SSubscribe(ctx, t.names.channel(topic))
	}
	return t.client.Subscribe(ctx, t.names.channel(topic))
}

// forgetSlots makes a Cluster client ask anew which server has which slot: a subscription does not learn it from
// the server's answer, as commands do.
func (t *RedisTransport) forgetSlots(ctx context.Context) {
	if c, ok := t.client.(interface{ ReloadState(ctx context.Context) }); ok {
		c.ReloadState(ctx)
	}
}

// receive hands over frames until the session or ctx ends, and closes the session. Only it reads from the connection.
func (s *redisSession) receive(ctx context.Context, pingInterval time.Duration, deliver func(frame []byte)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(ctx, pingInterval)
	}()
	err := s.read(ctx, deliver)
	cancel()
	<-watched // it has closed pubsub
	if s.silent.Load() {
		return errRedisSilent
	}
	return err
}

// read has no deadline: one that strikes in the middle of a frame would leave the rest to be read as a reply.
func (s *redisSession) read(ctx context.Context, deliver func(frame []byte)) error {
	for {
		msg, err := s.pubsub.Receive(ctx)
		if err != nil {
			return err
		}
		s.heard.Store(true)
		switch m := msg.(type) {
		case *redis.Message:
			deliver([]byte(m.Payload))
		case *redis.Subscription:
			if m.Kind == "unsubscribe" || m.Kind == "sunsubscribe" { // its slot has moved to another server
				return errRedisUnsubscribed
			}
		}
	}
}

// watch asks the server for a sign of life in each interval, and closes the session when none comes or ctx ends.
func (s *redisSession) watch(ctx context.Context, interval time.Duration) {
	defer func() { _ = s.pubsub.Close() }() // it is given up
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for asked := false; ; asked = true {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if asked && !s.heard.Load() {
			s.silent.Store(true)
			return
		}
		s.heard.Store(false)
		if s.pubsub.Ping(ctx) != nil {
			return // go-redis has closed the connection: read returns
		}
	}
}
