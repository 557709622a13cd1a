package podshare

import (
	"context"
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// Publishing is group commit. A writer that finds nobody publishing sends its write itself, at once. While
// a publish is under way other writers add to the next frame, which goes out as one message when the first
// returns. Every caller gets the result of the frame that carried its write.

const (
	// publishTimeout bounds one call of the transport, give or take a quarter.
	publishTimeout = 5 * time.Second
	// frameTarget is the size from which a frame is not added to any more.
	frameTarget = 256 << 10
)

// outbox is what waits to be published. Store.mu guards it; the replica's sent is its last frame.
type outbox struct {
	busy    bool // somebody is publishing; at most one does
	ticket  *ticket
	frames  []dataFrame   // full ones, before what is in replica.sent
	bytes   int           // in frames
	control []outFrame    // from the replica: heartbeats, repair; after the data they may speak of
	spare   *wire.Records // empty: the next sent
	lost    uint64
}

// ticket is what the writers of one frame wait for. It is done when the frame was published or given up.
type ticket struct {
	done chan struct{}
	err  error // valid after done
}

// dataFrame is local writes on their way out.
type dataFrame struct {
	header  wire.Header
	records *wire.Records
	ticket  *ticket // nil if nobody waits
}

var errPublishQueueFull = fmt.Errorf("%w: bytes wait to be sent", ErrTooMany)

// reserveLocked makes room for a write of about n bytes in the frame being filled.
// With a Merger it may become larger: what is sent is the joined value.
func (s *Store[T]) reserveLocked(at instant, n int) {
	if s.cfg.merger != nil {
		n = s.cfg.limits.FrameBytes
	}
	if !s.core.fitsFrame(n) {
		s.sealLocked(at)
	}
}

// sealLocked closes the frame being filled.
func (s *Store[T]) sealLocked(at instant) {
	f := s.takeSentLocked(at)
	s.out.frames = append(s.out.frames, f)
	s.out.bytes += f.records.Len()
	for s.out.bytes > s.cfg.limits.Pending && len(s.out.frames) > 0 {
		old := s.out.first()
		s.out.lost++
		old.finish(errPublishQueueFull)
	}
}

// takeSentLocked takes the writes that wait, with the head up to which they reach.
func (s *Store[T]) takeSentLocked(at instant) dataFrame {
	f := dataFrame{header: s.core.header(at), records: s.core.sent, ticket: s.out.ticket}
	s.out.ticket = nil
	if s.core.sent, s.out.spare = s.out.spare, nil; s.core.sent == nil {
		s.core.sent = s.core.newRecords()
	}
	return f
}

// sendLocked sends what the caller has just written, or waits until another does. It unlocks mu.
func (s *Store[T]) sendLocked(ctx context.Context, at instant) error {
	s.settleLocked(at)
	if !s.out.busy && !s.out.waiting() && s.out.ticket == nil {
		// The frame is this caller's alone: if its ctx ends, nobody else's publish ends with it.
		s.out.busy = true
		f := s.nextLocked(at)
		s.mu.Unlock()
		err := s.publishUnder(ctx, at, &f)
		s.mu.Lock()
		s.out.busy = false
		s.keepLocked(f.records)
		if s.closing || s.out.waiting() || s.core.sent.Count() > 0 {
			signal(s.publishing)
		}
		s.mu.Unlock()
		return broadcastError(err)
	}
	if s.out.ticket == nil {
		s.out.ticket = &ticket{done: make(chan struct{})}
	}
	t := s.out.ticket
	if !s.out.busy {
		signal(s.publishing)
	}
	s.mu.Unlock()
	select {
	case <-t.done:
		return broadcastError(t.err)
	case <-ctx.Done():
		return broadcastError(ctx.Err())
	}
}

func broadcastError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrBroadcast, err)
}

// keepLocked keeps the records of a frame that was published for the next one, unless their buffer grew large.
func (s *Store[T]) keepLocked(rs *wire.Records) {
	if rs.Len() <= frameTarget {
		rs.Clear()
		s.out.spare = rs
	}
}

// first takes the first of the full frames.
func (o *outbox) first() dataFrame {
	f := o.frames[0]
	o.frames[0] = dataFrame{}
	o.frames = o.frames[1:]
	o.bytes -= f.records.Len()
	return f
}

func (o *outbox) waiting() bool { return len(o.frames) > 0 || len(o.control) > 0 }

// nextLocked takes the next frame of writes, one without records if there is none.
func (s *Store[T]) nextLocked(at instant) dataFrame {
	if len(s.out.frames) > 0 {
		return s.out.first()
	}
	if s.core.sent.Count() > 0 {
		return s.takeSentLocked(at)
	}
	return dataFrame{}
}

// publishUnder is publish that a caller waits for until ctx ends.
func (s *Store[T]) publishUnder(ctx context.Context, at instant, f *dataFrame) error {
	own := s.publishContext(at)
	if ctx.Done() == nil {
		return s.publish(own, f)
	}
	either := &eitherCtx{own: own, caller: ctx}
	defer either.release()
	err := s.publish(either, f)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// publish sends a frame and tells those who wait for it.
func (s *Store[T]) publish(ctx context.Context, f *dataFrame) error {
	frame := s.slab.frame(&f.header, f.records)
	err := s.publishTo(ctx, s.channel, frame)
	f.finish(err)
	return err
}

func (f *dataFrame) finish(err error) {
	if f.ticket != nil {
		f.ticket.err = err
		close(f.ticket.done)
	}
}

// publishTo hands a frame to the transport. One that panics has failed.
func (s *Store[T]) publishTo(ctx context.Context, channel string, frame []byte) error {
	s.counts.publishes.Add(1)
	s.counts.publishedBytes.Add(uint64(len(frame)))
	err := s.hand(ctx, channel, frame)
	if err != nil {
		s.counts.publishErrors.Add(1)
	}
	return err
}

func (s *Store[T]) hand(ctx context.Context, channel string, frame []byte) (err error) {
	defer recovered(&err)
	if sub := s.subscribed.Load(); sub != nil && sub.echoFree != nil && channel == s.channel {
		return sub.echoFree.PublishExcept(ctx, channel, frame, sub.frames)
	}
	return s.transport.Publish(ctx, channel, frame)
}

// runPublisher sends what callers do not send themselves, until the store is closed and nothing waits.
func (s *Store[T]) runPublisher() {
	defer close(s.published)
	closed := s.closed
	for {
		idle := s.publishWaiting()
		if idle && closed == nil {
			return
		}
		select {
		case <-s.publishing:
		case <-closed:
			closed = nil
		}
	}
}

// publishWaiting sends until nothing waits, or somebody else is at it: who signals when it is done. It
// reports whether nothing is left.
func (s *Store[T]) publishWaiting() (idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.out.busy {
		at := s.now()
		f, control := s.nextLocked(at), s.out.control
		s.out.control = nil
		if f.records == nil && control == nil {
			return true
		}
		s.out.busy = true
		s.mu.Unlock()
		if f.records != nil {
			_ = s.publish(s.publishContext(at), &f) // told to those who wait
		}
		s.publishControl(control) // after every frame of writes, so that writers do not hold up repair
		s.mu.Lock()
		if f.records != nil {
			s.keepLocked(f.records)
		}
		s.out.busy = false
	}
	return false
}

func (s *Store[T]) publishControl(frames []outFrame) {
	for _, f := range frames {
		channel := s.channel
		if f.to != "" {
			channel = inboxName(s.topic, f.to)
		}
		if err := s.publishTo(s.publishContext(s.now()), channel, f.bytes); err != nil {
			s.report(fmt.Errorf("podshare: publish: %w", err))
		}
	}
}

// signal leaves one token in a channel of capacity 1.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
