package transporttest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podshare/podshare/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryTransportKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport { return transport.NewMemoryTransport() })
}

func TestMemoryTransportWithShortQueueKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport {
		return transport.NewMemoryTransport(transport.WithMemoryQueue(8))
	})
}

func TestNetworkWithoutFaultsKeepsTheContract(t *testing.T) {
	newNetwork := func(t *testing.T) *Network {
		n := NewNetwork(1)
		t.Cleanup(func() { n.Close() })
		return n
	}
	Run(t, func(t *testing.T) Transport { return newNetwork(t).Pod("a") },
		WithPair(func(t *testing.T) (from, to Transport) {
			n := newNetwork(t)
			return n.Pod("a"), n.Pod("b")
		}))
}

// A link that delays, duplicates and reorders is still a sound transport.
func TestSlowNetworkBreaksNoRule(t *testing.T) {
	newNetwork := func(t testing.TB) *Network {
		n := NewNetwork(1, WithFaults(Faults{Duplicate: 0.3, Reorder: 0.3, MaxDelay: time.Millisecond}))
		t.Cleanup(func() { n.Close() })
		return n
	}
	wantNoFailures(t,
		func(t testing.TB) Transport { return newNetwork(t).Pod("a") },
		func(t testing.TB) (from, to Transport) {
			n := newNetwork(t)
			return n.Pod("a"), n.Pod("b")
		})
}

// Nor do rules complain in the fake time that the broken transports below are tested in.
func TestMemoryTransportBreaksNoRule(t *testing.T) {
	wantNoFailures(t, func(testing.TB) Transport { return transport.NewMemoryTransport() }, nil)
}

func wantNoFailures(t *testing.T, newTransport func(testing.TB) Transport, newPair func(testing.TB) (from, to Transport)) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if failures := failuresOf(t, r, newTransport, newPair); len(failures) > 0 {
				t.Errorf("complaints without reason: %q", failures)
			}
		})
	}
}

func TestTransportThatRefusesSecondSubscriptionKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport { return newSingle() })
}

func TestBrokenTransportBreaksItsRule(t *testing.T) {
	for _, c := range []struct {
		rule      string
		transport func(t testing.TB) Transport
		complaint string
	}{
		{"a frame reaches every subscriber of its topic", newForgetful, "did not reach a subscriber"},
		{"a frame reaches no subscriber of another topic", newPrefixed, "never published there"},
		{"a topic can be any text", newTrimming, "never published there"},
		{"a large frame arrives whole", newTruncating, "did not reach a subscriber"},
		{"publishing without a subscriber is no error", newPicky, "nobody listens"},
		{"a subscriber that does not read holds up nobody", newWaiting, "does not read"},
		{"a subscription ends with its context", newEndless, "was not closed"},
		{"an ended context starts no subscription", newEndless, "was not closed"},
		{"a subscription ends when the transport closes", newUnclosable, "was not closed"},
		{"a missing snapshot is nil without an error", newStrict, "nil without an error"},
		{"a snapshot is fetched as it was stored", newTruncating, "never stored"},
		{"a snapshot replaces the one before", newFirstWins, "still returned"},
		{"snapshot slices belong to the caller", newAliasing, "never stored"},
		{"a closed transport returns errors", newUnclosable, "returned no error"},
		{"closing twice is no error", newCloseOnce, "second Close"},
		{"an ended subscription leaves no goroutine", newLeaky, "goroutines rose"},
		{"a closed transport leaves no goroutine", newLeaky, "goroutines are left"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, r := range rules() {
				if r.name != c.rule {
					continue
				}
				failures := strings.Join(failuresOf(t, r, c.transport, nil), "\n")
				if !strings.Contains(failures, c.complaint) {
					t.Errorf("want a complaint with %q, got: %q", c.complaint, failures)
				}
				return
			}
			t.Fatal("no such rule")
		})
	}
}

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
	l := leaky{transport.NewMemoryTransport(), make(chan struct{})}
	t.Cleanup(func() { close(l.end) })
	return l
}

func (l leaky) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	go func() { <-l.end }()
	return l.memory.Subscribe(ctx, topic)
}
