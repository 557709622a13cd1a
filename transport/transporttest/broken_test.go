package transporttest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/podshare/podshare/transport"
)

// memory is what the broken transports change.
type memory = transport.MemoryTransport

// single allows one subscription per topic.
type single struct {
	*memory

	mu sync.Mutex // makes looking and subscribing one step
}

func newSingle() Transport { return &single{memory: transport.NewMemoryTransport()} }

func (s *single) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Subscribers(topic) > 0 {
		return nil, transport.ErrTopicInUse
	}
	return s.memory.Subscribe(ctx, topic)
}

// forgetful loses every tenth frame.
type forgetful struct {
	*memory
	n int
}

func newForgetful(testing.TB) Transport { return &forgetful{memory: transport.NewMemoryTransport()} }

func (f *forgetful) Publish(ctx context.Context, topic string, msg []byte) error {
	if f.n++; f.n%10 == 0 {
		return nil
	}
	return f.memory.Publish(ctx, topic, msg)
}

// prefixed also publishes on topics that are one character longer.
type prefixed struct{ *memory }

func newPrefixed(testing.TB) Transport { return prefixed{transport.NewMemoryTransport()} }

func (p prefixed) Publish(ctx context.Context, topic string, msg []byte) error {
	return errors.Join(p.memory.Publish(ctx, topic, msg), p.memory.Publish(ctx, topic+"2", msg))
}

// trimming takes topics that differ in outer space for the same.
type trimming struct{ *memory }

func newTrimming(testing.TB) Transport { return trimming{transport.NewMemoryTransport()} }

func (s trimming) Publish(ctx context.Context, topic string, msg []byte) error {
	trimmed := strings.TrimSpace(topic)
	if trimmed != topic {
		_ = s.memory.Publish(ctx, trimmed, msg)
	}
	return s.memory.Publish(ctx, topic, msg)
}

// truncating cuts off what is beyond 1 MiB.
type truncating struct{ *memory }

func newTruncating(testing.TB) Transport { return truncating{transport.NewMemoryTransport()} }

func (s truncating) Publish(ctx context.Context, topic string, msg []byte) error {
	return s.memory.Publish(ctx, topic, msg[:min(len(msg), 1<<20)])
}

func (s truncating) Snapshot(ctx context.Context, topic string, data []byte) error {
	return s.memory.Snapshot(ctx, topic, data[:min(len(data), 1<<20)])
}

// picky insists on a subscriber.
type picky struct{ *memory }

func newPicky(testing.TB) Transport { return picky{transport.NewMemoryTransport()} }

func (p picky) Publish(ctx context.Context, topic string, msg []byte) error {
	if p.Subscribers(topic) == 0 {
		return errors.New("nobody listens")
	}
	return p.memory.Publish(ctx, topic, msg)
}

// waiting has unbuffered queues and waits for their reader.
type waiting struct {
	*memory
	mu     sync.Mutex // guards queues
	queues map[string]chan []byte
	closed chan struct{}
	once   sync.Once
}

func newWaiting(testing.TB) Transport {
	return &waiting{memory: transport.NewMemoryTransport(), queues: map[string]chan []byte{}, closed: make(chan struct{})}
}

func (w *waiting) Subscribe(_ context.Context, topic string) (<-chan []byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queues[topic] != nil {
		return nil, transport.ErrTopicInUse
	}
	w.queues[topic] = make(chan []byte, 10)
	return w.queues[topic], nil
}

func (w *waiting) Publish(ctx context.Context, topic string, msg []byte) error {
	w.mu.Lock()
	queue := w.queues[topic]
	w.mu.Unlock()
	select {
	case queue <- msg:
		return nil
	case <-w.closed:
		return transport.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *waiting) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.memory.Close()
}

// endless ignores the context of a subscription.
type endless struct{ *memory }

func newEndless(testing.TB) Transport { return endless{transport.NewMemoryTransport()} }

func (e endless) Subscribe(_ context.Context, topic string) (<-chan []byte, error) {
	return e.memory.Subscribe(context.Background(), topic)
}

// unclosable ignores Close.
type unclosable struct{ *memory }

func newUnclosable(t testing.TB) Transport {
	t.Helper()
	m := transport.NewMemoryTransport()
	t.Cleanup(func() { _ = m.Close() })
	return unclosable{m}
}

func (unclosable) Close() error { return nil }

// strict takes a missing snapshot for an error.
type strict struct{ *memory }

func newStrict(testing.TB) Transport { return strict{transport.NewMemoryTransport()} }

func (s strict) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	data, err := s.memory.FetchSnapshot(ctx, topic)
	if data == nil && err == nil {
		err = errors.New("not found")
	}
	return data, err
}

// firstWins keeps the first snapshot.
type firstWins struct{ *memory }

func newFirstWins(testing.TB) Transport { return firstWins{transport.NewMemoryTransport()} }

func (f firstWins) Snapshot(ctx context.Context, topic string, data []byte) error {
	if old, err := f.FetchSnapshot(ctx, topic); old != nil || err != nil {
		return err
	}
	return f.memory.Snapshot(ctx, topic, data)
}

// aliasing stores the slice that it was given.
type aliasing struct {
	*memory
	snapshots map[string][]byte
}

func newAliasing(testing.TB) Transport {
	return aliasing{transport.NewMemoryTransport(), map[string][]byte{}}
}

func (a aliasing) Snapshot(_ context.Context, topic string, data []byte) error {
	a.snapshots[topic] = data
	return nil
}

func (a aliasing) FetchSnapshot(_ context.Context, topic string) ([]byte, error) {
	return bytes.Clone(a.snapshots[topic]), nil
}

// closeOnce fails when it is closed again.
type closeOnce struct {
	*memory
	closed *bool
}

func newCloseOnce(testing.TB) Transport {
	return closeOnce{transport.NewMemoryTransport(), new(bool)}
}

func (c closeOnce) Close() error {
	if *c.closed {
		return transport.ErrClosed
	}
	*c.closed = true
	return c.memory.Close()
}

// leaky starts a goroutine for each subscription that lives until the test ends.
type leaky struct {
	*memory
	end chan struct{}
}

func newLeaky(t testing.TB) Transport {
	t.Helper()
	l := leaky{transport.NewMemoryTransport(), make(chan struct{})}
	t.Cleanup(func() { close(l.end) })
	return l
}

func (l leaky) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	go func() { <-l.end }()
	return l.memory.Subscribe(ctx, topic)
}
