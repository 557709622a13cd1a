package podshare

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// WatchOption narrows what a watcher hears. Several narrow together: all must agree to a key.
type WatchOption func(*watchConfig)

type watchConfig struct {
	key      string
	hasKey   bool
	nothing  bool // two different keys were asked for
	prefixes []string
	filters  []func(key string) bool
}

// WatchKey restricts a watcher to one key. Such watchers cost writes of other keys nothing.
func WatchKey(key string) WatchOption {
	return func(c *watchConfig) {
		c.nothing = c.nothing || c.hasKey && c.key != key
		c.key, c.hasKey = key, true
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

// Watch returns the changes of the store from now on, each key's in the order in which this store applied
// them: versions never fall, nothing comes twice, and the last event of a key equals what Get returns. The
// channel is closed when ctx ends, when the store is closed, and when the reader falls more events behind than
// [WithWatchBuffer] allows; the last is reported as [ErrWatcherLagged], for losing events silently would be
// worse. After Close, and beyond the limit of watchers, the channel is closed from the start.
func (s *Store[T]) Watch(ctx context.Context, opts ...WatchOption) <-chan Event[T] {
	var c watchConfig
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	w := &watcher[T]{config: c, events: make(chan Event[T], s.cfg.watchBuffer)}
	out := w.events
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing, ctx.Err() != nil, c.nothing:
		close(w.events)
		return out
	case s.hub.count >= s.cfg.limits.Watchers:
		close(w.events)
		s.report(fmt.Errorf("%w: watchers, limit %d", ErrTooMany, s.cfg.limits.Watchers))
		return out
	}
	s.hub.add(w)
	if len(c.filters) > 0 {
		filtered := make(chan Event[T], s.cfg.watchBuffer)
		s.callbacks.start(func() { s.runFilter(w, filtered) })
		out = filtered
	}
	w.stop = context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hub.remove(w)
	})
	return out
}

// watcher is one open Watch. Store.mu guards it.
type watcher[T any] struct {
	config watchConfig
	events chan Event[T] // closed by hub.remove, once
	gone   bool
	stop   func() bool // ends the waiting for its ctx
	index  int         // in the hub's list that has it
}

// runFilter passes on what the filters let through. It never waits for the reader.
func (s *Store[T]) runFilter(w *watcher[T], filtered chan<- Event[T]) {
	defer close(filtered)
	for ev := range w.events {
		pass := true
		err := s.callbacks.call(func() {
			for _, fn := range w.config.filters {
				pass = pass && fn(ev.Key)
			}
		})
		if err != nil {
			s.drop(w, &KeyError{Key: ev.Key, Err: err})
			return
		}
		if !pass {
			continue
		}
		select {
		case filtered <- ev:
		default:
			s.drop(w, ErrWatcherLagged)
			return
		}
	}
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

// dispatch tells a change to whom it concerns. The replica calls it, with mu held, in the order in which it
// applies.
func (s *Store[T]) dispatch(c change[T]) {
	h := &s.hub
	if h.count == 0 {
		return
	}
	ev := Event[T]{Kind: c.kind, Key: c.key, Value: c.value}
	if h.all.len() > 0 || len(h.keys[c.key]) > 0 || len(h.lengths) > 0 {
		ev.Origin = s.core.origins.at(c.write.origin).node
		ev.Timestamp = time.Unix(0, c.write.stamp)
	}
	s.sendTo(h.all, &ev)
	if len(h.keys) > 0 {
		s.sendTo(h.keys[c.key], &ev)
	}
	for _, n := range h.lengths {
		if len(c.key) >= n.length {
			s.sendTo(h.prefixes[c.key[:n.length]], &ev)
		}
	}
}

func (s *Store[T]) sendTo(ws watchers[T], ev *Event[T]) {
	for _, w := range ws {
		if !w.config.wants(ev.Key) {
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

// wants reports whether the key has all prefixes asked for. That it is the key asked for the hub's index
// has seen to; filters are asked later.
func (c *watchConfig) wants(key string) bool {
	if c.hasKey && key != c.key {
		return false
	}
	for _, p := range c.prefixes {
		if !strings.HasPrefix(key, p) {
			return false
		}
	}
	return true
}

// hub knows the watchers by what they watch, so that a write costs only those it concerns. Store.mu guards
// it.
type hub[T any] struct {
	all      watchers[T]
	keys     map[string]watchers[T]
	prefixes map[string]watchers[T]
	lengths  []prefixLength // of the prefixes, each once

	count               int
	lagged              []*watcher[T] // scratch of sendTo
	dispatched, dropped uint64
}

type watchers[T any] []*watcher[T]

func (ws watchers[T]) len() int { return len(ws) }

// prefixLength counts the watched prefixes of a length.
type prefixLength struct {
	length, watchers int
}

func (h *hub[T]) add(w *watcher[T]) {
	h.count++
	switch c := &w.config; {
	case c.hasKey:
		if h.keys == nil {
			h.keys = map[string]watchers[T]{}
		}
		w.index = len(h.keys[c.key])
		h.keys[c.key] = append(h.keys[c.key], w)
	case len(c.prefixes) > 0:
		if h.prefixes == nil {
			h.prefixes = map[string]watchers[T]{}
		}
		p := c.prefixes[0]
		w.index = len(h.prefixes[p])
		h.prefixes[p] = append(h.prefixes[p], w)
		h.countLength(len(p), 1)
	default:
		w.index = len(h.all)
		h.all = append(h.all, w)
	}
}

func (h *hub[T]) countLength(length, by int) {
	for i := range h.lengths {
		if h.lengths[i].length != length {
			continue
		}
		if h.lengths[i].watchers += by; h.lengths[i].watchers == 0 {
			h.lengths = append(h.lengths[:i:i], h.lengths[i+1:]...)
		}
		return
	}
	h.lengths = append(h.lengths, prefixLength{length, by})
}

// remove takes a watcher out and closes its channel. It reports whether the watcher was still there.
func (h *hub[T]) remove(w *watcher[T]) bool {
	if w.gone {
		return false
	}
	w.gone = true
	h.count--
	if w.stop != nil {
		w.stop()
	}
	switch c := &w.config; {
	case c.hasKey:
		removeFrom(h.keys, c.key, w)
	case len(c.prefixes) > 0:
		removeFrom(h.prefixes, c.prefixes[0], w)
		h.countLength(len(c.prefixes[0]), -1)
	default:
		h.all = h.all.without(w)
	}
	close(w.events)
	return true
}

func removeFrom[T any](m map[string]watchers[T], key string, w *watcher[T]) {
	if rest := m[key].without(w); len(rest) > 0 {
		m[key] = rest
	} else {
		delete(m, key)
	}
}

// without removes w, putting the last in its place.
func (ws watchers[T]) without(w *watcher[T]) watchers[T] {
	last := len(ws) - 1
	ws[w.index] = ws[last]
	ws[w.index].index = w.index
	ws[last] = nil
	return ws[:last]
}

func (h *hub[T]) closeAll() {
	for len(h.all) > 0 {
		h.remove(h.all[len(h.all)-1])
	}
	for _, m := range []map[string]watchers[T]{h.keys, h.prefixes} {
		for _, ws := range m {
			for _, w := range append(watchers[T](nil), ws...) {
				h.remove(w)
			}
		}
	}
}
