package podshare

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// AwaitError is returned by [Store.Await] when its ctx ends first.
type AwaitError struct {
	Want  int      // how many pods were asked for
	Nodes []string // those that hold every write, by node ID
	Err   error    // why the waiting ended
}

func (e *AwaitError) Error() string {
	return fmt.Sprintf("podshare: %d of %d pods hold every write: %v", len(e.Nodes), e.Want, e.Err)
}

// Unwrap returns why the waiting ended.
func (e *AwaitError) Unwrap() error { return e.Err }

// Await returns nil when n other pods that are heard at that moment hold every write made on this store before the
// call. With n below 1 it returns at once. With fewer pods than n it waits for more to come.
//
// It costs one frame to everybody and one from each pod, or a few if some are lost, however many callers wait. Errors
// are ErrClosed and an [*AwaitError] that names those who hold everything and wraps the error of ctx.
func (s *Store[T]) Await(ctx context.Context, n int) error {
	return s.await(ctx, n, func() bool { return true })
}

// await is Await as long as it is worth it, which is asked under the lock.
func (s *Store[T]) await(ctx context.Context, n int, worth func() bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.core.origins.at(self).seen.head
	for asked := false; ; {
		nodes := s.core.holders(head)
		switch {
		case s.closing:
			return ErrClosed
		case len(nodes) >= n || !worth():
			return nil
		case ctx.Err() != nil:
			return &AwaitError{Want: n, Nodes: nodes, Err: ctx.Err()}
		case !asked:
			asked = true
			at := s.now()
			s.core.ask(at, head)
			defer func() { s.core.asking.callers-- }()
			s.settleLocked(at)
		}
		news := s.news
		s.mu.Unlock()
		select {
		case <-news:
		case <-s.closed:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
}

// asking is what a replica asks the others about its writes, on behalf of all callers of Await.
type asking struct {
	callers int    // who wait; nothing is sent without one
	head    uint64 // up to which write
	pause   int64  // ns until what may have been lost is asked again, if nothing happens before
	due     int64  // monotonic ns at which that is
}

// The first and the longest pause before an ask is repeated. In between it doubles.
const (
	minAskPause = 200 * time.Millisecond
	maxAskPause = 16 * minAskPause
)

// ask has everybody asked for a word when they have seen all writes of ours, until callers is counted down again.
func (r *replica[T]) ask(at instant, head uint64) {
	a := &r.asking
	if a.callers++; a.callers == 1 || head > a.head {
		a.head, a.pause, a.due = head, int64(minAskPause), at.mono
		r.tickAsk(at)
	}
}

// tickAsk sends an ask that is due, unless all that are there have answered it.
func (r *replica[T]) tickAsk(at instant) {
	a := &r.asking
	if a.callers == 0 || at.mono < a.due || a.pause > int64(minAskPause) && !r.on(ruleAskAgain) {
		return
	}
	a.due = at.mono + a.pause
	a.pause = min(2*a.pause, int64(maxAskPause))
	for _, p := range r.peers.list {
		if p.seen < a.head {
			h := r.header(at)
			r.out.frames = append(r.out.frames, outFrame{bytes: (&wire.Ask{}).Append(nil, &h)})
			return
		}
	}
}

// hurryAsk has a pod that has just come asked at once.
func (r *replica[T]) hurryAsk(at instant) { r.asking.pause, r.asking.due = int64(minAskPause), at.mono }

// nextAsk is when tickAsk has something to do (monotonic ns).
func (r *replica[T]) nextAsk() int64 {
	if r.asking.callers == 0 {
		return never
	}
	return r.asking.due
}

// holders returns the nodes that are heard and have seen our writes up to head. An answer of a run that has most likely
// ended counts for nothing: its pod may have lost what it held.
func (r *replica[T]) holders(head uint64) []string {
	var nodes []string
	for _, p := range r.peers.list {
		if p.seen >= head && !p.replaced {
			nodes = append(nodes, r.origins.at(p.origin).node)
		}
	}
	return nodes
}

// takeAsk answers as soon as all that the peer had written when it asked is here. What it asked before is answered
// first: with steady writes and losses the newest head may never be reached while it is the newest.
func (r *replica[T]) takeAsk(at instant, p *peer, head uint64) {
	if !p.asks {
		p.asks, p.asked = true, head
		if p.live {
			r.peers.asking++
		}
	}
	p.askedLast = max(p.askedLast, head)
	r.answerAsks(at)
	r.findHole(at, p.origin, p.head)
}

// answerAsks tells peers that asked when what they asked about has come.
func (r *replica[T]) answerAsks(at instant) {
	if r.peers.asking == 0 {
		return
	}
	for _, p := range r.peers.list {
		st := r.origins.at(p.origin)
		if !p.asks || st.seen.head < p.asked {
			continue
		}
		if p.asked = p.askedLast; st.seen.head >= p.asked {
			p.asks = false
			r.peers.asking--
		}
		m, h := wire.Seen{To: st.id, Head: st.seen.head}, r.header(at)
		r.out.frames = append(r.out.frames, outFrame{to: st.node, bytes: m.Append(nil, &h)})
	}
}

// takeSeen notes how much of what was written here a peer has seen.
func (r *replica[T]) takeSeen(p *peer, m *wire.Seen) {
	if m.Head > p.seen && m.Head <= r.origins.at(self).seen.head {
		p.seen = m.Head
		r.news++
	}
}

// WaitFor returns nil when this store has caught up with a version of a key that another one has seen: the key is then
// at that version or a later one, or deleted by a later write. So a request can read here what one before it wrote on
// another pod: hand the [Version] on, in a cookie say. A zero version returns at once. With a Merger the write itself
// must be here, or removed by a later delete. The version of a seed that was overwritten may never be reached.
//
// Errors are ErrClosed, that of an empty or too long key, and the error of ctx.
func (s *Store[T]) WaitFor(ctx context.Context, key string, v Version) error {
	if err := s.checkUpdate(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reachedLocked(key, &v) {
		return nil
	}
	f := s.core.followers.of(key)
	f.waiting++
	defer func() {
		f.waiting--
		s.core.followers.tidy(key)
	}()
	for !s.reachedLocked(key, &v) {
		if f.next == nil {
			f.next = make(chan struct{})
		}
		next, news := f.next, s.news
		s.mu.Unlock()
		var err error
		select {
		case <-next:
		case <-news: // an exchange may have told that the key is gone, without a step of it
		case <-s.closed:
			err = ErrClosed
		case <-ctx.Done():
			err = ctx.Err()
		}
		s.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// reachedLocked reports whether a key is at a version, or past it.
func (s *Store[T]) reachedLocked(key string, v *Version) bool {
	if v.Timestamp.IsZero() {
		return true
	}
	r, stamp := s.core, v.Timestamp.UnixNano()
	e := s.index.Get(key)
	switch {
	case e == nil:
		return stamp <= r.floor && r.origins.maySee(v) // it may have been deleted and forgotten
	case !r.origins.atLeast(&e.Val.write, v):
		return false
	case e.Val.flags&flagSeed != 0: // which a real write is not ordered after, whatever their stamps
		return r.origins.maySee(v)
	case r.cfg.merge != nil:
		deleted := &joinOf(e).deleted
		return deleted.seq != 0 && r.origins.atLeast(deleted, v) || r.origins.maySee(v)
	default:
		return true
	}
}

// atLeast reports whether a write is the one of a version, or ordered after it.
func (os *origins) atLeast(w *write, v *Version) bool {
	return cmp.Or(
		cmp.Compare(w.stamp, v.Timestamp.UnixNano()),
		cmp.Compare(os.at(w.origin).node, v.Origin),
		cmp.Compare(w.seq, v.Seq),
	) >= 0
}

// maySee reports whether the write of a version is covered. As a version does not name the run, that of another run of
// the same node is taken for it: so this only ever confirms what the order of writes suggests.
func (os *origins) maySee(v *Version) bool {
	node := wire.HashNode([]byte(v.Origin))
	for o, st := range os.list {
		if st.id.Node == node && os.covers(dot{origin(o), v.Seq}) {
			return true
		}
	}
	return false
}
