package podshare

import (
	"context"
	"errors"
	"time"
)

// closeTimeout is how long Close waits for the transport.
const closeTimeout = 10 * time.Second

// Close is CloseWithContext with a time-out of 10 seconds.
func (s *Store[T]) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.CloseWithContext(ctx)
}

// handOverTimeout is how long Close waits for another pod of a mesh to hold what was written here. Within it a pod that
// is dead falls silent, so that nobody is waited for in vain.
const handOverTimeout = 3 * time.Second

// CloseWithContext sends what is pending, says goodbye to the other pods, adds what is missing to the stored
// snapshot, closes the watchers and ends every goroutine of the store. From then on whatever returns an
// error returns [ErrClosed], and reads serve the last state. ctx bounds the waiting for the transport: when
// it ends, what could not be sent or stored is left to the other pods, and its error is returned.
//
// In a mesh (see [Mesh]), where nothing is stored, it first waits until one of the other pods that are heard holds every write
// that was made here before, for up to 3 seconds: a full queue may have lost some.
//
// Later and concurrent calls wait for the first and return what it returned. From inside a callback of the
// store Close returns when all but that callback has ended.
func (s *Store[T]) CloseWithContext(ctx context.Context) error {
	s.handOver(ctx)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		<-s.finished
		return s.closeErr
	}
	s.closing = true
	at := s.now()
	s.core.sendGoodbye(at)
	s.settleLocked(at)
	close(s.closed)
	s.mu.Unlock()

	for _, ended := range []<-chan struct{}{s.published, s.snapshotted} {
		select {
		case <-ended:
		case <-ctx.Done():
			s.abort() // what is stuck in the transport ends with its context
			<-ended
		}
	}
	err := errors.Join(ctx.Err(), s.finalSnapshot(ctx))
	s.abort()
	s.stop() // ends the subscriptions, and with them the run loop
	s.workers.Wait()
	if c := s.publishCtx.cancel; c != nil {
		c()
	}

	s.mu.Lock()
	s.hub.closeAll()
	s.core.closeAnswers()
	s.closeErr = err
	close(s.finished)
	s.mu.Unlock()
	s.callbacks.wait()
	return err
}

// handOver waits until what was written here is held elsewhere, if it is nowhere else.
func (s *Store[T]) handOver(ctx context.Context) {
	if !s.snapshots.mesh {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	_ = s.await(ctx, 1, func() bool { // else it is left to those who have seen some of it
		return !s.core.deaf && len(s.core.peers.list) > 0 && s.core.origins.at(self).seen.head > 0
	})
}
