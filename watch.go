package podshare

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare/internal/cells"
)

// WatchOption says what a watcher hears, and how. Several that narrow do so together: all must agree to a key.
type WatchOption func(*watchConfig)

type watchConfig struct {
	keys     []string // ascending, each once; empty with narrowed: no key at all
	narrowed bool     // to keys
	prefixes []string
	filters  []func(key string) bool
	initial  bool
	conflate bool
}

// WatchKey restricts a watcher to one key. Such watchers cost writes of other keys nothing.
func WatchKey(key string) WatchOption { return WatchKeys(key) }

// WatchKeys restricts a watcher to some keys. Such watchers cost writes of other keys nothing.
func WatchKeys(keys ...string) WatchOption {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	return func(c *watchConfig) {
		both := keys
		if c.narrowed {
			both = slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
				_, found := slices.BinarySearch(c.keys, key)
				return !found
			})
		}
		c.keys, c.narrowed = both, true
	}
}

// WatchPrefix restricts a watcher to keys with a prefix.
func WatchPrefix(prefix string) WatchOption {
	return func(c *watchConfig) { c.prefixes = append(c.prefixes, prefix) }
}

// WatchFilter restricts a watcher to keys for which fn returns true. fn is called on a goroutine of the
// watcher, off the path of the writers, and may call the Store. If it panics that is reported and the watcher
// closed. A nil fn restricts nothing.
func WatchFilter(fn func(key string) bool) WatchOption {
	return func(c *watchConfig) {
		if fn != nil {
			c.filters = append(c.filters, fn)
		}
	}
}

// WatchInitial has a watcher begin with what the store holds: an [EventSet] for each key, in no order and at the
// reader's pace, then one [EventSynced], then changes. No change is missed or told twice: a key is told as it is when its
// turn comes, and what changes after that is told after the EventSynced. Until the reader has caught up, of several
// changes of one key the latest is told.
func WatchInitial() WatchOption { return func(c *watchConfig) { c.initial = true } }

// WatchConflate keeps, for a reader that is slower than the writers, the latest event of each key instead of closing
// the channel. Behind those that are in the channel already, at most [WithWatchBuffer], only the latest is told, and the
// last event of a key always is, unless the channel is closed first. Of a key that came and went meanwhile nothing is
// told. What waits is bounded by the number of keys that are held or that the reader knows.
func WatchConflate() WatchOption { return func(c *watchConfig) { c.conflate = true } }

// Watch returns the changes of the store from now on, each key's in the order in which this store applied
// them: versions never fall, nothing comes twice, and the last event of a key equals what Get returns. The
// channel is closed when ctx ends, when the store is closed, and when the reader falls more events behind than
// [WithWatchBuffer] allows; the last is reported as [ErrWatcherLagged], for losing events silently would be
// worse. After Close, and beyond the limit of watchers, the channel is closed from the start.
func (s *Store[T]) Watch(ctx context.Context, opts ...WatchOption) <-chan Event[T] {
	w := &watcher[T]{done: make(chan struct{})}
	for _, o := range opts {
		if o != nil {
			o(&w.config)
		}
	}
	c := &w.config
	out := make(chan Event[T], s.cfg.watchBuffer)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing, ctx.Err() != nil, c.narrowed && len(c.keys) == 0:
		close(out)
		return out
	case s.hub.count >= s.cfg.limits.Watchers:
		close(out)
		s.report(fmt.Errorf("%w: watchers, limit %d", ErrTooMany, s.cfg.limits.Watchers))
		return out
	}
	switch {
	case c.initial || c.conflate:
		w.queue = newEventQueue[T]()
		keys := c.keys
		var view *cells.View[item[T]]
		if c.initial && !c.narrowed {
			view = s.index.View()
		} else if !c.initial {
			keys = nil
		}
		s.startWatcher(w, out, func() {
			if view != nil {
				keys = s.keysOf(view, c)
			}
			s.runQueue(w, keys, out)
		})
	case len(c.filters) > 0:
		w.events = make(chan Event[T], s.cfg.watchBuffer)
		s.startWatcher(w, out, func() { s.runForward(w, out) })
	default:
		w.events = out
	}
	s.hub.add(w)
	w.stop = context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hub.remove(w)
	})
	return out
}

// ended reports whether the watcher is closed.
func (w *watcher[T]) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// startWatcher runs the goroutine of a watcher that has one. However that ends, so does the watcher.
func (s *Store[T]) startWatcher(w *watcher[T], out chan<- Event[T], run func()) {
	s.callbacks.start(func() {
		defer close(out)
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.hub.remove(w)
		}()
		run()
	})
}

// watcher is one open Watch. Store.mu guards it; done needs no lock.
type watcher[T any] struct {
	config watchConfig
	events chan Event[T]  // closed by hub.remove, once; nil while there is a queue
	queue  *eventQueue[T] // what waits for a reader that may be slow
	done   chan struct{}  // closed by hub.remove, once
	gone   bool
	stop   func() bool // ends the waiting for its ctx
	at     []int       // its index in each of the hub's lists that have it
}

// runForward passes on what the filters let through, when the reader has room. If it has none for long, events fills up,
// and the watcher is closed.
func (s *Store[T]) runForward(w *watcher[T], out chan<- Event[T]) {
	for ev := range w.events {
		if !s.tellWaiting(w, &ev, out) {
			return
		}
	}
}

// passes asks the filters of a watcher about a key.
func (s *Store[T]) passes(w *watcher[T], key string) (bool, error) {
	pass := true
	if len(w.config.filters) == 0 {
		return pass, nil
	}
	err := s.callbacks.call(func() {
		for _, fn := range w.config.filters {
			pass = pass && fn(key)
		}
	})
	if err != nil {
		return false, &KeyError{Key: key, Err: err}
	}
	return pass, nil
}

// drop closes a watcher and reports why.
func (s *Store[T]) drop(w *watcher[T], why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hub.remove(w) {
		s.hub.dropped++
		s.report(why)
	}
}

// dispatch tells a change to whom it concerns; fresh says that the key was not there before. The replica calls it, with
// mu held, in the order in which it applies.
func (s *Store[T]) dispatch(kind EventKind, e *entry[T], fresh bool) {
	h := &s.hub
	if h.count == 0 {
		return
	}
	one := h.keys[e.Key]
	if len(h.all) == 0 && len(one) == 0 && len(h.lengths) == 0 {
		return // watchers of other keys cost a write no more than this
	}
	ev := Event[T]{Kind: kind, Key: e.Key}
	if kind == EventSet {
		ev.Value = e.Val.value
	}
	s.sign(&ev, &e.Val.write)
	s.sendTo(h.all, &ev, fresh)
	s.sendTo(one, &ev, fresh)
	for _, n := range h.lengths {
		if len(e.Key) >= n.length {
			s.sendTo(h.prefixes[e.Key[:n.length]], &ev, fresh)
		}
	}
}

// sign says in an event which write caused it.
func (s *Store[T]) sign(ev *Event[T], w *write) {
	ev.Origin = s.core.origins.at(w.origin).node
	ev.Timestamp = time.Unix(0, w.stamp)
}

func (s *Store[T]) sendTo(ws watchers[T], ev *Event[T], fresh bool) {
	for _, m := range ws {
		w := m.watcher
		if !w.config.wants(ev.Key) {
			continue
		}
		if w.queue != nil {
			w.queue.put(ev, fresh)
			s.hub.dispatched++
			continue
		}
		select {
		case w.events <- *ev:
			s.hub.dispatched++
		default:
			s.hub.lagged = append(s.hub.lagged, w)
		}
	}
	for _, w := range s.hub.lagged {
		s.hub.remove(w)
		s.hub.dropped++
		s.report(ErrWatcherLagged)
	}
	s.hub.lagged = s.hub.lagged[:0]
}

// wants reports whether the key has all prefixes asked for. That it is one of the keys asked for the hub's index
// has seen to; filters are asked later.
func (c *watchConfig) wants(key string) bool {
	for _, p := range c.prefixes {
		if !strings.HasPrefix(key, p) {
			return false
		}
	}
	return true
}
