package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// p2pSubscription is the queue between the connections and a subscriber.
type p2pSubscription struct {
	topic string
	id    uint64
	queue frameQueue
	end   context.CancelFunc
}

// Subscribe returns the frames that peers publish on a topic of up to 8 KiB. While the channel of an earlier subscription is
// open, it fails with [ErrTopicInUse]. Frames that the channel has no room for are dropped, counted ([P2PTransport.Stats])
// and reported. A transport has up to 16,384 subscriptions at a time, whose topics have up to 4 MiB together. It also returns [ErrClosed], [ErrEmptyTopic] or the error of a ctx that has ended.
func (t *P2PTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	if len(topic) > p2pTopicMost {
		return nil, fmt.Errorf("p2p: a topic has %d bytes, at most %d are possible", len(topic), p2pTopicMost)
	}
	s := &p2pSubscription{topic: topic}
	s.queue.init(t.options.SendQueueDepth, t.options.SendQueueBytes)
	ctx, s.end = context.WithCancel(ctx)
	if err := t.enter(s); err != nil {
		s.end()
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		t.leave(s)
		t.running.Done()
	})
	return s.queue.frames, nil
}

// enter tells all peers of a subscription.
func (t *P2PTransport) enter(s *p2pSubscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case t.subscriptions[s.topic] != nil:
		return fmt.Errorf("p2p: topic %q: %w", s.topic, ErrTopicInUse)
	case len(t.subscriptions) >= p2pTopicsMost || t.topicBytes+len(s.topic) > p2pTopicBytes:
		return fmt.Errorf("p2p: topic %q: there are %d subscriptions, more are not possible", s.topic, len(t.subscriptions))
	}
	t.topicBytes += len(s.topic)
	t.lastID++
	s.id = t.lastID
	t.subscriptions[s.topic] = s
	t.deliveries.set(s.id, s)
	t.running.Add(1)
	for _, p := range t.peers {
		p.conn.sender.control(subscribeFrame(s.id, s.topic))
	}
	return nil
}

// leave ends it.
func (t *P2PTransport) leave(s *p2pSubscription) {
	t.mu.Lock()
	delete(t.subscriptions, s.topic)
	t.topicBytes -= len(s.topic)
	t.deliveries.set(s.id, nil)
	for _, p := range t.peers {
		p.conn.sender.control(unsubscribeFrame(s.id))
	}
	t.mu.Unlock()
	s.queue.end()
}

// deliver hands a frame to the subscription that it is for, if there still is one.
func (t *P2PTransport) deliver(id uint64, msg []byte) {
	s := t.deliveries.get(id)
	if s == nil {
		return
	}
	switch s.queue.offer(msg) {
	case lostFirst:
		t.dropped.Add(1)
		t.report(fmt.Errorf("topic %q: %w", s.topic, ErrQueueFull))
	case lost:
		t.dropped.Add(1)
	case taken:
	}
}

// p2pDeliveries finds subscriptions by what peers call them.
type p2pDeliveries struct {
	mu   sync.RWMutex
	byID map[uint64]*p2pSubscription
}

func (d *p2pDeliveries) get(id uint64) *p2pSubscription {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byID[id]
}

// set makes s the subscription with that id; nil: there is none.
func (d *p2pDeliveries) set(id uint64, s *p2pSubscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s == nil {
		delete(d.byID, id)
	} else {
		d.byID[id] = s
	}
}

// peerSubscribes has the frames of a topic go to a peer. What was published before did not.
func (t *P2PTransport) peerSubscribes(p *p2pPeer, id uint64, topic string) error {
	t.mu.Lock()
	if p.conn == nil {
		t.mu.Unlock()
		return nil // what is read after the end
	}
	added, ok := t.routes.add(p, id, topic)
	t.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: subscription %d, or one too many", errP2PMalformed, id)
	}
	if added {
		t.announce(topic)
	}
	return nil
}

// peerListed notes that a peer has said all that it subscribes to.
func (t *P2PTransport) peerListed(p *p2pPeer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.listed = true
}

func (t *P2PTransport) peerUnsubscribes(p *p2pPeer, id uint64) { t.routes.remove(p, id) }

// NotifyConnection implements [podshare.ConnectionNotifier]: whenever another peer subscribes to the topic, fn is called with
// false and then with true. What was published before did not reach that peer, and what it published may not have
// come. That connections are lost is not told: whether their peers are dead or cut off is not known here, and a store
// judges by their heartbeats.
func (t *P2PTransport) NotifyConnection(ctx context.Context, topic string, fn func(connected bool)) {
	if ctx.Err() != nil {
		return
	}
	l := &p2pListener{topic: topic, fn: fn, done: ctx.Done()}
	t.mu.Lock()
	t.listeners = append(slices.Clip(t.listeners), l) // announce reads the old slice
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.listeners = slices.DeleteFunc(slices.Clone(t.listeners), func(x *p2pListener) bool { return x == l })
	})
}

// p2pListener is who wants to know of peers that come to a topic.
type p2pListener struct {
	topic string
	fn    func(connected bool)
	done  <-chan struct{} // closed when it wants to know no more
	mu    sync.Mutex      // held while fn runs
}

// announce tells who listens that there is somebody else on a topic.
func (t *P2PTransport) announce(topic string) {
	t.mu.Lock()
	listeners := t.listeners
	t.mu.Unlock()
	for _, l := range listeners {
		if l.topic == topic {
			l.call()
		}
	}
}

func (l *p2pListener) call() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
	default:
		l.fn(false)
		l.fn(true)
	}
}
