package naive

import (
	"context"
	"slices"

	"github.com/podshare/podshare"
)

// watcher is one open Watch.
type watcher[T any] struct {
	key    string                 // empty: all
	events chan podshare.Event[T] // closed when it is taken off the list
}

// Watch returns the changes of a key, or of all if key is empty, until ctx ends or the reader falls behind.
func (s *Store[T]) Watch(ctx context.Context, key string) <-chan podshare.Event[T] {
	w := &watcher[T]{key: key, events: make(chan podshare.Event[T], s.cfg.WatchBuffer)}
	s.mu.Lock()
	s.watchers = append(s.watchers, w)
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.removeLocked(w)
	})
	return w.events
}

func (s *Store[T]) dispatchLocked(ev podshare.Event[T]) {
	var lagged []*watcher[T]
	for _, w := range s.watchers {
		if w.key != "" && w.key != ev.Key {
			continue
		}
		select {
		case w.events <- ev:
		default:
			lagged = append(lagged, w)
		}
	}
	for _, w := range lagged {
		s.removeLocked(w)
	}
}

func (s *Store[T]) removeLocked(w *watcher[T]) {
	if i := slices.Index(s.watchers, w); i >= 0 {
		s.watchers = slices.Delete(s.watchers, i, i+1)
		close(w.events)
	}
}
