package podshare

import (
	"context"
	"time"
)

// Synced returns nil once the store has caught up: it was found equal to another pod that had caught up itself, or took
// over what one holds; or it is clear that no such pod is there, because none was heard for a second or the transport knows
// that there is none ([Mesh]). Until then it may
// lack what was written after the stored snapshot. Once it has returned nil it always does, until Close.
//
// Errors are ErrClosed and the error of ctx.
func (s *Store[T]) Synced(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closing:
			return ErrClosed
		case s.core.caughtUp:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
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

// Ready reports whether the store has caught up, see [Store.Synced], and is not closed: what a readiness probe wants to
// know. A pod that is alone is ready. One that is cut off later stays ready: it serves what it holds, and if the
// network between all pods fails, taking each out of service would make it worse; see [Store.Health] for alarms.
func (s *Store[T]) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.caughtUp && !s.closing
}

// lonely is after how long without a word from a pod that has caught up a store does not wait for one any more. Others
// answer a newcomer's first heartbeat within milliseconds.
const lonely = time.Second

// startAlone notes that nobody is there to catch up with.
func (r *replica[T]) startAlone() {
	r.caughtUp = true
	r.news++
}

// beatCaughtUp is the flag of heartbeats of a pod that has caught up. Without it newcomers that start side by side, all
// empty, would take each other's word for it.
const beatCaughtUp = 1

// exchanged notes that this replica and a peer were found equal or made so.
func (r *replica[T]) exchanged(at instant, p *peer) {
	r.exchanges++
	r.news++
	r.caughtUp = r.caughtUp || p.caughtUp || !r.on(ruleCaughtUpPeer)
	r.watchCatchUp(at)
}

// watchCatchUp notes when the first catching up is over though no pod is there that has caught up: all start anew.
func (r *replica[T]) watchCatchUp(at instant) {
	if r.caughtUp || r.deaf || at.mono-r.listens < int64(lonely) || r.exchanges == 0 && len(r.peers.list) > 0 {
		return
	}
	for _, p := range r.peers.list {
		if p.caughtUp {
			return
		}
	}
	r.caughtUp = true
	r.news++
}
