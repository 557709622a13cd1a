package podshare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// subscription is what connects a store to its transport. The channels are closed by the transport.
type subscription struct {
	frames, inbox <-chan []byte
	echoFree      EchoFree           // the transport or what it wraps, if one is that
	alone         bool               // nobody else is on the topic, says the transport
	leave         context.CancelFunc // ends the subscriptions, as the end of the store does
}

// attach subscribes for as long as run lasts, and loads the stored snapshot. ctx bounds the waiting for the transport. An
// error leaves nothing behind.
func (s *Store[T]) attach(ctx, run context.Context) (sub subscription, err error) {
	run, leave := context.WithCancel(run)
	cancel := context.AfterFunc(ctx, leave) // a transport that hangs is left when ctx ends
	sub, err = s.subscribe(run)
	sub.leave = leave
	if err == nil {
		err = s.load(ctx)
	}
	if err == nil {
		sub.alone, err = s.nobodyThere()
	}
	if !cancel() {
		err = errors.Join(err, ctx.Err()) // the transport may only say that it was left
	}
	if err != nil {
		leave()
		return sub, err
	}
	s.subscribed.Store(&sub)
	s.followConnections(run)
	return sub, nil
}

// listen takes part from now on. The run loop calls it, or who starts that, before the first frame: so it comes before
// the end of a subscription is noticed.
func (s *Store[T]) listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	s.core.deaf = false
	s.core.startPeers(at)
	if s.subscribed.Load().alone {
		s.core.startAlone()
	}
	s.settleLocked(at)
}

// subscribe opens both subscriptions. A transport that panics has failed.
func (s *Store[T]) subscribe(run context.Context) (sub subscription, err error) {
	defer recovered(&err)
	sub.echoFree, _ = capability[EchoFree](s.transport)
	sub.frames, err = s.transport.Subscribe(run, s.channel)
	if err != nil {
		return sub, fmt.Errorf("podshare: subscribe to %q: %w", s.topic, err)
	}
	sub.inbox, err = s.transport.Subscribe(run, inboxName(s.topic, s.cfg.nodeID))
	if err != nil {
		return sub, fmt.Errorf("podshare: subscribe to the inbox of %q: %w", s.topic, err)
	}
	return sub, nil
}

// nobodyThere reports whether the transport knows that no other pod is on the topic. One that panics has failed.
func (s *Store[T]) nobodyThere() (alone bool, err error) {
	defer recovered(&err)
	mesh, ok := capability[Mesh](s.transport)
	return ok && mesh.Alone(s.channel), nil
}

// Pauses between attempts to attach in the background.
const (
	minAttachPause = 100 * time.Millisecond
	maxAttachPause = 5 * time.Second
)

// deafen makes a store of one that is to attach later: cut off until then. It sends no heartbeats: nobody is to answer
// what cannot be heard.
func (s *Store[T]) deafen() {
	s.core.deaf, s.core.peers.nextBeat = true, never
	s.core.watchHealth(s.now())
}

// attachLater attaches as soon as the transport lets it, and has the run loop take in frames.
func (s *Store[T]) attachLater(run context.Context) {
	for pause := minAttachPause; ; pause = min(2*pause, maxAttachPause) {
		ctx, cancel := context.WithTimeout(run, snapshotTimeout)
		sub, err := s.attach(ctx, run)
		cancel()
		if err == nil {
			s.attached <- sub // there is room
			return
		}
		if run.Err() != nil {
			return
		}
		s.report(err)
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // jitter
		select {
		case <-timer.C:
		case <-run.Done():
			timer.Stop()
			return
		}
	}
}
