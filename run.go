package podshare

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

var errSubscriptionEnded = errors.New("podshare: the transport ended the subscription: cut off")

// maxControl bounds the replica's own frames that wait for a publish. Those beyond are dropped: each is
// sent again when it is still wanted.
const maxControl = 1024

// maxReuse is the size of the largest frame after which its buffers are used again, in bytes. Chunks of an answer, which are
// larger, come in a row.
const maxReuse = 64 << 10

// run takes in the frames of sub, or those of the first that is attached, and does what is due, until ctx ends.
func (s *Store[T]) run(ctx context.Context, sub subscription) {
	frames, inbox := sub.frames, sub.inbox
	timer := time.NewTimer(0)
	defer timer.Stop()
	in := new(inbound[T])
	for {
		select {
		case <-ctx.Done():
			return
		case frame, ok := <-frames:
			if !ok {
				frames = s.subscriptionEnded(ctx)
				continue
			}
			in = s.receiveRow(s.receive(in, frame), frames)
		case frame, ok := <-inbox:
			if !ok {
				inbox = s.subscriptionEnded(ctx)
				continue
			}
			in = s.receive(in, frame)
		case sub = <-s.attached:
			frames, inbox = sub.frames, sub.inbox
			s.listen()
		case <-timer.C:
			timer.Reset(s.tick())
		case <-s.wake:
			timer.Reset(s.tick())
		}
	}
}

// subscriptionEnded notes that the transport closed a subscription that was not ended here: the store is
// cut off for good. The nil channel that it returns is never ready.
func (s *Store[T]) subscriptionEnded(ctx context.Context) <-chan []byte {
	if ctx.Err() == nil {
		s.mu.Lock()
		s.core.deaf = true
		s.mu.Unlock()
		s.report(errSubscriptionEnded)
	}
	return nil
}

// maxRow is how many frames in a row, and after a large one none, may keep the run loop from what else is due.
const maxRow = 16

// receiveRow takes in frames that wait already, without the run loop's select between them: it took a tenth of the
// time of a small one.
func (s *Store[T]) receiveRow(in *inbound[T], frames <-chan []byte) *inbound[T] {
	for range maxRow {
		select {
		case frame, ok := <-frames:
			if !ok {
				return in // the run loop will see it too
			}
			in = s.receive(in, frame)
			if len(frame) > maxReuse {
				return in
			}
		default:
			return in
		}
	}
	return in
}

// receive takes in one frame. It returns the inbound to use for the next.
func (s *Store[T]) receive(in *inbound[T], frame []byte) *inbound[T] {
	if node, boot, ok := wire.Sender(frame); ok && boot == s.boot && string(node) == s.cfg.nodeID {
		return in // an echo
	}
	s.counts.received.Add(1)
	s.counts.receivedBytes.Add(uint64(len(frame)))
	if err := in.open(frame, &s.core.cfg.codec, &s.cfg.limits); err != nil {
		s.counts.countRejected(err)
		if at := s.now().mono; at >= s.complainAt {
			s.complainAt = at + int64(time.Second) // a stranger on the topic must not drown all else
			s.report(err)
		}
		return in
	}
	s.mu.Lock()
	at := s.now()
	kept := s.core.receive(at, in)
	early := s.settleLocked(at)
	s.mu.Unlock()
	if early {
		signal(s.wake)
	}
	if large := in.size > maxReuse || cap(in.updates) > maxReuse/64; kept || large && in.header.Kind != wire.KindHave {
		return new(inbound[T])
	}
	return in
}

// tick does what is due and returns how long to wait for the next time.
func (s *Store[T]) tick() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	next := s.core.tick(at)
	s.nextTick = next
	if s.core.sent.Count() > 0 {
		signal(s.publishing) // owned keys that are written again
	}
	s.settleLocked(at)
	return max(time.Duration(next-at.mono), time.Millisecond/10)
}

// settleLocked passes on what the replica wants done. It is called after every use of it, and reports
// whether the run loop must be woken for something earlier than it waits for.
func (s *Store[T]) settleLocked(at instant) (early bool) {
	s.reads.next()
	out := &s.core.out
	if len(out.frames) > 0 {
		s.out.control = append(s.out.control, out.frames...)
		clear(out.frames)
		out.frames = out.frames[:0]
		if n := len(s.out.control) - maxControl; n > 0 {
			s.out.control = append([]outFrame(nil), s.out.control[n:]...)
			s.out.lost += uint64(n)
		}
		signal(s.publishing)
	}
	if len(out.errs) > 0 {
		for _, err := range out.errs {
			s.report(err)
		}
		clear(out.errs)
		out.errs = out.errs[:0]
	}
	if n := s.core.news; n != s.newsCount {
		s.newsCount = n
		close(s.news)
		s.news = make(chan struct{})
	}
	switch u := &s.core.unstored; {
	case u.own && !u.toldOwn:
		u.toldAny, u.toldOwn = true, true
		signal(s.snapshots.soon)
	case (u.any || u.look) && !u.toldAny:
		u.toldAny = true
		signal(s.snapshots.later)
	}
	due := s.core.earliest()
	if first, ok := s.core.deadlines.first(); ok {
		due = min(due, at.mono+max(first.at-s.core.clock.now(at), 0))
	}
	if due < s.nextTick {
		s.nextTick = due
		signal(s.wake)
		return true
	}
	return false
}

// report hands an error to the reporter. It never waits: what does not fit is counted and dropped.
func (s *Store[T]) report(err error) {
	s.counts.errors.Add(1)
	select {
	case s.errs <- err:
	default:
		s.counts.errorsDropped.Add(1)
	}
}

// runReporter calls the error handler and the logger, one error after the other.
func (s *Store[T]) runReporter() {
	for {
		select {
		case err := <-s.errs:
			s.tell(err)
		case <-s.finished:
			for {
				select {
				case err := <-s.errs:
					s.tell(err)
				default:
					return
				}
			}
		}
	}
}

func (s *Store[T]) tell(err error) {
	_ = s.callbacks.call(func() { // there is nobody left to tell of a panic
		if l := s.cfg.logger; l != nil {
			l.Warn("podshare", "topic", s.topic, "node", s.cfg.nodeID, "error", err)
		}
		if fn := s.cfg.errorHandler; fn != nil {
			fn(err)
		}
	})
}

// callbackGroup is the goroutines that run users' callbacks. Close waits for them, but not for one that is
// inside a callback at that moment: it may be the one that calls Close. It ends when the callback returns.
type callbackGroup struct {
	mu   sync.Mutex // guards busy
	idle sync.Cond
	busy int // goroutines that run and are not inside a callback
}

func (g *callbackGroup) init() { g.idle.L = &g.mu }

func (g *callbackGroup) start(fn func()) {
	g.add(1)
	go func() {
		defer g.add(-1)
		fn()
	}()
}

// call runs a callback on a goroutine of the group. A panic in it ends there.
func (g *callbackGroup) call(fn func()) (err error) {
	g.add(-1)
	defer g.add(1)
	defer recovered(&err)
	fn()
	return nil
}

func (g *callbackGroup) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy += n; g.busy == 0 {
		g.idle.Broadcast()
	}
}

// wait returns when no goroutine of the group runs outside of a callback.
func (g *callbackGroup) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.busy > 0 {
		g.idle.Wait()
	}
}
