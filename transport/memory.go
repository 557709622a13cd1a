package transport

import (
	"context"
	"fmt"
	"sync/atomic"
)

// defaultMemoryQueue is the queue of one subscription, in frames. It takes 24 KiB, and at a million frames
// a second covers a subscriber that is away for a millisecond.
const defaultMemoryQueue = 1024

// MemoryTransport connects the stores of one process. It is the broker itself: stores that shall see each
// other share one MemoryTransport, any number of them per topic, and each also gets its own frames back.
//
// Publish hands the published slice itself to every subscriber: neither the publisher nor a subscriber may
// change it afterwards. It never waits: a subscriber whose queue is full misses the frame, which is counted
// ([MemoryTransport.Dropped]) and reported ([WithMemoryOnError]).
//
// All methods are safe for concurrent use. A MemoryTransport runs no goroutine.
type MemoryTransport struct {
	queueFrames int
	onError     func(error)

	closed    atomic.Bool // set before topics, snapshots and tables are closed
	dropped   atomic.Uint64
	topics    memoryTopics
	snapshots memorySnapshots
	tables    memoryTables
}

// MemoryOption configures a [MemoryTransport].
type MemoryOption func(*MemoryTransport)

// WithMemoryOnError sets the function that hears of dropped frames, by an error that wraps [ErrQueueFull].
// It is called once when a subscriber begins to lose frames and not again until that subscriber has caught
// up with half of its queue, so that overload cannot flood it. It runs on the publisher's goroutine, with no lock
// held: it may use the transport, and should return soon. A panic in it is discarded. By default, and with
// nil, drops are only counted.
func WithMemoryOnError(fn func(error)) MemoryOption {
	return func(m *MemoryTransport) { m.onError = fn }
}

// WithMemoryQueue sets how many frames wait for a subscriber that is not reading; the queue is allocated
// with the subscription, 24 bytes a frame. The default, also for zero and below, is 1024.
func WithMemoryQueue(frames int) MemoryOption {
	return func(m *MemoryTransport) {
		if frames <= 0 {
			frames = defaultMemoryQueue
		}
		m.queueFrames = frames
	}
}

// NewMemoryTransport returns a broker without topics.
func NewMemoryTransport(opts ...MemoryOption) *MemoryTransport {
	m := &MemoryTransport{queueFrames: defaultMemoryQueue}
	m.topics.init()
	m.snapshots.init()
	m.tables.init()
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Publish hands msg to every present subscriber of topic without waiting for any of them. It returns
// [ErrClosed], [ErrEmptyTopic] or the error of a ctx that has ended; a topic without subscribers is no error.
func (m *MemoryTransport) Publish(ctx context.Context, topic string, msg []byte) error {
	if err := m.check(ctx, topic); err != nil {
		return err
	}
	m.offer(topic, msg, nil)
	return nil
}

// PublishExcept is Publish that leaves out one subscription, named by the channel that Subscribe returned:
// the publisher's own. It is for those who would drop their own frames anyway.
func (m *MemoryTransport) PublishExcept(ctx context.Context, topic string, msg []byte, own <-chan []byte) error {
	if err := m.check(ctx, topic); err != nil {
		return err
	}
	m.offer(topic, msg, own)
	return nil
}

// offer hands msg to the subscriptions of topic but for own.
func (m *MemoryTransport) offer(topic string, msg []byte, own <-chan []byte) {
	for _, s := range m.topics.subscribers(topic) {
		if own != nil && own == s.frames {
			continue
		}
		switch s.offer(msg) {
		case lostFirst:
			m.dropped.Add(1)
			m.report(fmt.Errorf("memory: topic %q: %w", topic, ErrQueueFull))
		case lost:
			m.dropped.Add(1)
		case taken:
		}
	}
}

// Subscribe returns a channel of the frames published on topic from now on. The channel is closed when ctx
// ends or the transport closes; frames that are queued by then can still be read. Errors are those of
// [MemoryTransport.Publish].
func (m *MemoryTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := m.check(ctx, topic); err != nil {
		return nil, err
	}
	s := newMemorySubscription(m.queueFrames)
	if err := m.topics.add(ctx, topic, s); err != nil {
		return nil, err
	}
	return s.frames, nil
}

// Snapshot replaces the snapshot of topic by a copy of data. Empty data removes it. Errors are those of
// [MemoryTransport.Publish].
func (m *MemoryTransport) Snapshot(ctx context.Context, topic string, data []byte) error {
	if err := m.check(ctx, topic); err != nil {
		return err
	}
	return m.snapshots.put(topic, data)
}

// FetchSnapshot returns a copy of the snapshot of topic, nil if there is none. Errors are those of
// [MemoryTransport.Publish].
func (m *MemoryTransport) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if err := m.check(ctx, topic); err != nil {
		return nil, err
	}
	return m.snapshots.get(topic)
}

// Close ends every subscription and forgets every snapshot and table. Further calls do nothing.
func (m *MemoryTransport) Close() error {
	m.closed.Store(true)
	m.topics.close()
	m.snapshots.close()
	m.tables.close()
	return nil
}

// Dropped counts the frames that a subscriber missed because its queue was full: one for each frame and
// subscriber.
func (m *MemoryTransport) Dropped() uint64 { return m.dropped.Load() }

// Subscribers counts the open subscriptions of topic.
func (m *MemoryTransport) Subscribers(topic string) int { return len(m.topics.subscribers(topic)) }

// check is what all methods refuse: closed, before anything else.
func (m *MemoryTransport) check(ctx context.Context, topic string) error {
	switch {
	case m.closed.Load():
		return ErrClosed
	case topic == "":
		return ErrEmptyTopic
	default:
		return ctx.Err()
	}
}

// report calls the error handler; the caller holds no lock.
func (m *MemoryTransport) report(err error) {
	if m.onError == nil {
		return
	}
	defer func() { _ = recover() }() // there is nobody left to tell
	m.onError(err)
}
