package podshare

import (
	"github.com/podshare/podshare/internal/cells"
	"github.com/podshare/podshare/internal/sim"
)

// simBuffer is the WithWatchBuffer of simulated pods: small, so that readers lag.
const simBuffer = 8

// shell is as much of a Store around the replica as its watchers need. It has no goroutines.
func shell[T any](r *replica[T]) *Store[T] {
	s := &Store[T]{core: r, index: r.index, cfg: &config[T]{watchBuffer: simBuffer}}
	s.callbacks.init()
	return s
}

// simWatcher drives a watcher by hand: it does what the watcher's goroutine does, an event at a time.
type simWatcher[T any] struct {
	m      *simMachine[T]
	w      *watcher[T]
	view   *cells.View[item[T]] // of the moment when it began, until the keys are read from it
	keys   []string             // present then, and not told yet
	synced bool
}

// signature is what an event tells of the write that caused it.
type signature struct {
	key, node string
	stamp     int64
}

func (m *simMachine[T]) Watch(o sim.WatchOptions) sim.Watcher {
	w := &simWatcher[T]{m: m, w: &watcher[T]{done: make(chan struct{})}}
	c := &w.w.config
	if o.Keys != nil {
		WatchKeys(o.Keys...)(c)
	}
	if o.Filter != nil {
		WatchFilter(o.Filter)(c)
	}
	c.initial, c.conflate = o.Initial, o.Conflate
	if c.initial || c.conflate {
		w.w.queue = newEventQueue[T]()
	} else {
		w.w.events = make(chan Event[T], simBuffer)
	}
	switch {
	case !c.initial:
	case c.narrowed:
		w.keys = c.keys
	default:
		w.view = m.r.index.View()
	}
	m.shell.hub.add(w.w)
	return w
}

func (w *simWatcher[T]) Close() {
	w.m.shell.hub.remove(w.w)
	if w.view != nil {
		w.view.Close()
	}
}

func (w *simWatcher[T]) Next(at sim.Instant) (e sim.Event, open bool) {
	for {
		ev, ok, open := w.step(clocks(at))
		if !ok {
			return sim.Event{}, open
		}
		if ev.Kind == EventSynced {
			return sim.Event{Kind: sim.Synced}, true
		}
		if pass, err := w.m.shell.passes(w.w, ev.Key); err != nil {
			panic(err)
		} else if pass {
			return w.m.event(&ev), true
		}
	}
}

// step takes one event: runQueue, and then runForward, without the waiting for the reader.
func (w *simWatcher[T]) step(at instant) (ev Event[T], ok, open bool) {
	s := w.m.shell
	if w.view != nil {
		w.keys, w.view = s.keysOf(w.view, &w.w.config), nil
	}
	for w.w.queue != nil {
		if len(w.keys) > 0 {
			for s.core.latchDue(at) { // until nothing is past its time
			}
			key := w.keys[0]
			w.keys = w.keys[1:]
			if ev, ok = s.presentLocked(at, w.w, key); ok {
				w.m.sign(s.index.Get(key))
				return ev, true, true
			}
			continue
		}
		if w.w.config.initial && !w.synced {
			w.synced = true
			return Event[T]{Kind: EventSynced}, true, true
		}
		if ev, ok, left := s.nextQueuedLocked(w.w); !left {
			return ev, ok, true
		}
	}
	select {
	case ev, ok = <-w.w.events:
		return ev, ok, ok
	default:
		return ev, false, true
	}
}

// sign remembers which write an event is of.
func (m *simMachine[T]) sign(e *entry[T]) {
	v := m.version(&e.Val.write)
	m.signed[signature{e.Key, v.Node, v.Stamp}] = v
}

// event translates what a watcher is told.
func (m *simMachine[T]) event(ev *Event[T]) sim.Event {
	e := sim.Event{Key: ev.Key, Kind: simKind(ev.Kind)}
	if ev.Kind == EventSet {
		e.Value = m.text(ev.Value)
	}
	e.Version = m.signed[signature{ev.Key, ev.Origin, ev.Timestamp.UnixNano()}]
	return e
}

func simKind(kind EventKind) sim.EventKind {
	switch kind {
	case EventSet:
		return sim.Set
	case EventDelete:
		return sim.Delete
	default:
		return sim.Expire
	}
}
