package podshare

import (
	"container/list"

	"github.com/podshare/podshare/internal/cells"
)

// eventQueue is what waits for the reader of a watcher that is not closed when it is slow: the latest event of each key,
// in the order in which the keys first had one. Store.mu guards it; more needs no lock.
type eventQueue[T any] struct {
	events list.List                // of *queued[T]
	of     map[string]*list.Element // by key
	more   chan struct{}            // one token: the queue may not be empty
}

type queued[T any] struct {
	event Event[T]
	fresh bool // the reader was never told of the key: if it goes, there is nothing to tell
}

func newEventQueue[T any]() *eventQueue[T] {
	return &eventQueue[T]{of: map[string]*list.Element{}, more: make(chan struct{}, 1)}
}

// put adds the latest event of a key. fresh says that the key was not there before it.
func (q *eventQueue[T]) put(ev *Event[T], fresh bool) {
	el := q.of[ev.Key]
	if el == nil {
		q.of[ev.Key] = q.events.PushBack(&queued[T]{*ev, fresh})
		signal(q.more)
		return
	}
	if it := el.Value.(*queued[T]); ev.Kind == EventSet || !it.fresh {
		it.event = *ev
		return
	}
	q.drop(ev.Key)
}

// drop takes out what waits of a key.
func (q *eventQueue[T]) drop(key string) {
	if el := q.of[key]; el != nil {
		q.events.Remove(el)
		delete(q.of, key)
	}
}

// take removes the first event.
func (q *eventQueue[T]) take() (ev Event[T], ok bool) {
	el := q.events.Front()
	if el == nil {
		return ev, false
	}
	ev = el.Value.(*queued[T]).event
	q.drop(ev.Key)
	return ev, true
}

// keysOf returns the keys of a view that a watcher wants, and closes the view.
func (s *Store[T]) keysOf(v *cells.View[item[T]], c *watchConfig) (keys []string) {
	defer v.Close()
	for e := v.Next(); e != nil; e = v.Next() {
		if !e.Val.dead() && c.wants(e.Key) {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// runQueue tells a watcher of the keys present, then of what its queue holds. It waits for the reader. A watcher that
// does not conflate leaves its queue behind once that is empty.
func (s *Store[T]) runQueue(w *watcher[T], keys []string, out chan<- Event[T]) {
	q, c := w.queue, &w.config
	for _, key := range keys {
		ev, ok := s.present(w, key)
		if w.ended() || ok && !s.tellWaiting(w, &ev, out) {
			return // without an EventSynced, so the reader knows
		}
	}
	if c.initial && !s.tellWaiting(w, &Event[T]{Kind: EventSynced}, out) {
		return
	}
	for {
		s.mu.Lock()
		gone := w.gone
		ev, ok, left := s.nextQueuedLocked(w)
		s.mu.Unlock()
		switch {
		case ok:
			if !s.tellWaiting(w, &ev, out) {
				return // and nothing after it: the reader would not know of the gap
			}
		case gone:
			return
		case left:
			s.runForward(w, out)
			return
		default:
			select {
			case <-q.more:
			case <-w.done:
			}
		}
	}
}

// nextQueuedLocked takes the first event of a queue. left says that there was none, and that the watcher, which does not
// conflate, has left its queue behind.
func (s *Store[T]) nextQueuedLocked(w *watcher[T]) (ev Event[T], ok, left bool) {
	ev, ok = w.queue.take()
	if left = !ok && !w.config.conflate && !w.gone; left {
		w.queue, w.events = nil, make(chan Event[T], s.cfg.watchBuffer)
	}
	return ev, ok, left
}

// present returns a key as it is at this moment. What waits of it is not told any more.
func (s *Store[T]) present(w *watcher[T], key string) (ev Event[T], ok bool) {
	s.lockLatched()
	defer s.mu.Unlock()
	return s.presentLocked(s.now(), w, key)
}

// presentLocked is present at a moment when nothing is past its time.
func (s *Store[T]) presentLocked(at instant, w *watcher[T], key string) (ev Event[T], ok bool) {
	w.queue.drop(key)
	e := s.index.Get(key)
	if e == nil || !w.config.wants(key) {
		return ev, false
	}
	ev = Event[T]{Kind: EventSet, Key: key}
	if ev.Value, ok = s.core.read(at, e); ok {
		s.sign(&ev, &e.Val.write)
		s.hub.dispatched++
	}
	return ev, ok
}

// tellWaiting passes an event on, if the filters let it, when the reader has room. It reports whether the watcher goes
// on.
func (s *Store[T]) tellWaiting(w *watcher[T], ev *Event[T], out chan<- Event[T]) bool {
	if ev.Kind != EventSynced {
		switch pass, err := s.passes(w, ev.Key); {
		case err != nil:
			s.drop(w, err)
			return false
		case !pass:
			return true
		}
	}
	select {
	case out <- *ev:
		return true
	case <-w.done:
	}
	select {
	case out <- *ev:
		return true // and the rest as far as there is room
	default:
		return false
	}
}
