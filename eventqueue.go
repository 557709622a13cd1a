package podshare

// eventQueue is what waits for the reader of a watcher that is not closed when it is slow: the latest event of each key,
// in the order in which the keys first had one. Store.mu guards it; its channels need no lock.
type eventQueue[T any] struct {
	order  []string
	latest map[string]Event[T] // of the keys in order, and no others: one that is told meanwhile is taken out
	more   chan struct{}       // one token: the queue may not be empty
	done   chan struct{}       // closed by hub.remove, once
}

func newEventQueue[T any]() *eventQueue[T] {
	return &eventQueue[T]{latest: map[string]Event[T]{}, more: make(chan struct{}, 1), done: make(chan struct{})}
}

func (q *eventQueue[T]) put(ev *Event[T]) {
	if _, waits := q.latest[ev.Key]; !waits {
		q.order = append(q.order, ev.Key)
	}
	q.latest[ev.Key] = *ev
	signal(q.more)
}

// take removes the first event.
func (q *eventQueue[T]) take() (ev Event[T], ok bool) {
	for len(q.order) > 0 && !ok {
		key := q.order[0]
		q.order[0] = ""
		q.order = q.order[1:]
		ev, ok = q.latest[key]
		delete(q.latest, key)
	}
	return ev, ok
}

// presentLocked returns the keys that a watcher with WatchInitial begins with, nil for others.
func (s *Store[T]) presentLocked(c *watchConfig) []string {
	switch {
	case !c.initial:
		return nil
	case c.narrowed:
		return c.keys
	}
	var keys []string
	v := s.index.View()
	defer v.Close()
	for e := v.Next(); e != nil; e = v.Next() {
		if !e.Val.dead() && c.wants(e.Key) {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// runQueue tells a watcher of the keys present, then of what its queue holds. It waits for the reader. A watcher that
// does not conflate leaves its queue behind once the reader has caught up.
func (s *Store[T]) runQueue(w *watcher[T], keys []string, out chan<- Event[T]) {
	q, c := w.queue, &w.config
	for _, key := range keys {
		if ev, ok := s.present(w, q, key); ok && !s.tellWaiting(w, q, &ev, out) {
			return
		}
	}
	if c.initial && !s.tellWaiting(w, q, &Event[T]{Kind: EventSynced}, out) {
		return
	}
	for {
		s.mu.Lock()
		ev, ok := q.take()
		caughtUp := !ok && !c.conflate && !w.gone
		if caughtUp {
			w.queue, w.events = nil, make(chan Event[T], s.cfg.watchBuffer)
		}
		s.mu.Unlock()
		switch {
		case caughtUp:
			s.runFilter(w, out)
			return
		case ok && !s.tellWaiting(w, q, &ev, out):
			return
		case ok:
			continue
		}
		select {
		case <-q.more:
		case <-q.done:
			s.flush(w, q, out)
			return
		}
	}
}

// present returns a key as it is at this moment. What waits of it is not told any more.
func (s *Store[T]) present(w *watcher[T], q *eventQueue[T], key string) (ev Event[T], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(q.latest, key)
	e := s.index.Get(key)
	if e == nil || !w.config.wants(key) {
		return ev, false
	}
	ev = Event[T]{Kind: EventSet, Key: key}
	if ev.Value, ok = s.read(e); ok {
		s.sign(&ev, &e.Val.write)
		s.hub.dispatched++
	}
	return ev, ok
}

// tellWaiting passes an event on, if the filters let it, when the reader has room. It reports whether the watcher goes
// on.
func (s *Store[T]) tellWaiting(w *watcher[T], q *eventQueue[T], ev *Event[T], out chan<- Event[T]) bool {
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
	case <-q.done:
	}
	select {
	case out <- *ev:
		s.flush(w, q, out)
	default:
	}
	return false
}

// flush passes on what still waits for a watcher that is closed, as far as there is room.
func (s *Store[T]) flush(w *watcher[T], q *eventQueue[T], out chan<- Event[T]) {
	for {
		s.mu.Lock()
		ev, ok := q.take()
		s.mu.Unlock()
		if !ok {
			return
		}
		if pass, err := s.passes(w, ev.Key); err != nil || !pass {
			continue
		}
		select {
		case out <- ev:
		default:
			return
		}
	}
}
