package transporttest

import (
	"context"
	"fmt"
	"time"

	"github.com/podshare/podshare/transport"
)

// Endpoint is the [Transport] of one pod on a [Network]. Closing it stops that pod only; [Network.Pod] then
// makes a new one, as a restart does. A published slice is shared with the subscribers and must not be changed.
type Endpoint struct {
	net  *Network
	pod  *pod
	hub  *transport.MemoryTransport // this endpoint's own subscriptions
	done chan struct{}              // closed with the endpoint, releases stuck calls

	closed bool // Network.mu guards it
}

// Name returns the name of the pod.
func (e *Endpoint) Name() string { return e.pod.name }

// Publish sends msg to the other pods that are subscribed to topic. The errors are those of
// [transport.MemoryTransport.Publish], and [ErrInjected].
func (e *Endpoint) Publish(ctx context.Context, topic string, msg []byte) error {
	stuck, err := e.publish(ctx, topic, msg)
	if !stuck {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
		return transport.ErrClosed
	}
}

// publish does all of Publish but the waiting.
func (e *Endpoint) publish(ctx context.Context, topic string, msg []byte) (stuck bool, err error) {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := e.checkLocked(ctx, topic); err != nil {
		return false, err
	}
	p := e.pod
	fails, stuck := p.rng.happens(p.faults.PublishError), p.rng.happens(p.faults.PublishStuck)
	switch {
	case stuck:
		n.stats.PublishStuck++
		return true, nil
	case fails:
		n.stats.PublishErrors++
		return false, fmt.Errorf("pod %s: Publish(%q): %w", p.name, topic, ErrInjected)
	}
	if n.echo {
		_ = e.hub.Publish(ctx, topic, msg) // fails only if ctx ended meanwhile
	}
	now := time.Now()
	for _, to := range n.podOrder {
		if to != p && to.endpoint != nil && to.endpoint.hub.Subscribers(topic) > 0 {
			n.sendLocked(now, n.linkLocked(route{p.name, to.name}), topic, msg)
		}
	}
	n.deliverDueLocked(now)
	return false, nil
}

// Subscribe returns a channel of what other pods publish on topic from now on, closed when ctx ends or the
// endpoint closes. A pod may have any number of subscriptions to a topic.
func (e *Endpoint) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	return e.hub.Subscribe(ctx, topic)
}

// Snapshot stores a copy of data as the snapshot of topic, for all pods.
func (e *Endpoint) Snapshot(ctx context.Context, topic string, data []byte) error {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if err := e.checkLocked(ctx, topic); err != nil {
		return err
	}
	return e.net.putSnapshotLocked(e.pod, topic, data)
}

// FetchSnapshot returns a copy of the snapshot of topic, nil if there is none.
func (e *Endpoint) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if err := e.checkLocked(ctx, topic); err != nil {
		return nil, err
	}
	return e.net.fetchSnapshotLocked(e.pod, topic)
}

// Close ends the subscriptions of this endpoint and releases its stuck calls. Frames that it has sent still
// arrive. Further calls do nothing.
func (e *Endpoint) Close() error {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.net.closeEndpointLocked(e)
	return nil
}

func (e *Endpoint) checkLocked(ctx context.Context, topic string) error {
	switch {
	case e.closed:
		return transport.ErrClosed
	case topic == "":
		return transport.ErrEmptyTopic
	default:
		return ctx.Err()
	}
}
