package transport

import (
	"context"
	"slices"
)

// redisListener is who wants to know of a topic's connection.
type redisListener struct {
	fn        func(connected bool)
	done      <-chan struct{} // closed when it wants to know no more
	connected bool            // what fn was told last; only the goroutine of the topic's subscription uses it
}

// NotifyConnection implements [podshare.ConnectionNotifier]: fn is called when the connection of the topic's
// subscription is lost, or was silent for too long, and when the topic is subscribed to again. Who starts to
// listen while there is none hears of it with the next failed attempt to connect.
func (t *RedisTransport) NotifyConnection(ctx context.Context, topic string, fn func(connected bool)) {
	if ctx.Err() != nil {
		return
	}
	l := &redisListener{fn: fn, done: ctx.Done(), connected: true}
	t.mu.Lock()
	t.listeners[topic] = append(slices.Clip(t.listeners[topic]), l) // announce reads the old slice
	t.mu.Unlock()
	context.AfterFunc(ctx, func() { t.forget(topic, l) })
}

func (t *RedisTransport) forget(topic string, l *redisListener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(t.listeners[topic]), func(x *redisListener) bool { return x == l })
	if len(left) == 0 {
		delete(t.listeners, topic)
	} else {
		t.listeners[topic] = left
	}
}

// announce tells those who do not know it yet. Only the goroutine of the topic's subscription calls it, and the
// next subscription's begins after the end of this one's.
func (t *RedisTransport) announce(topic string, connected bool) {
	t.mu.Lock()
	listeners := t.listeners[topic]
	t.mu.Unlock()
	for _, l := range listeners {
		select {
		case <-l.done:
			continue
		default:
		}
		if l.connected != connected {
			l.connected = connected
			l.fn(connected)
		}
	}
}
