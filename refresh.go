package podshare

import (
	"context"
	"errors"
)

// Refresh merges the stored snapshot into the store and waits for one exchange with another pod, so that
// what that pod held at the time of the call is held here. It returns nil when no other pod is there, which a new
// store knows after a second. It is never needed: stores repair themselves.
func (s *Store[T]) Refresh(ctx context.Context) error {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return ErrClosed
	}
	for _, place := range s.snapshots.places {
		if unusable, err := place.load(ctx); err != nil || unusable != nil {
			return errors.Join(err, unusable)
		}
	}
	s.mu.Lock()
	target := s.core.repair.completed + 1
	if s.core.repair.ask != nil {
		target++ // the one under way began before the call
	}
	for {
		if s.closing {
			s.mu.Unlock()
			return ErrClosed
		}
		if len(s.core.peers.list) == 0 && (s.core.caughtUp || s.core.deaf) {
			s.mu.Unlock()
			return nil
		}
		done := s.news
		at := s.now()
		s.core.refresh(at)
		s.settleLocked(at)
		s.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closed:
			return ErrClosed
		}
		s.mu.Lock()
		if s.core.repair.completed >= target {
			s.mu.Unlock()
			return nil
		}
	}
}

// refresh starts an exchange with a random peer, unless one is under way.
func (r *replica[T]) refresh(at instant) {
	if r.repair.ask == nil {
		if p := r.choose(self); p != nil {
			r.startAsk(at, p, false)
		}
	}
}
