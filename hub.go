package podshare

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

// watchers is a list of those that watch one thing.
type watchers[T any] []member[T]

// member is a watcher in a list. Invariant: list[i].watcher.at[list[i].slot] = i.
type member[T any] struct {
	watcher *watcher[T]
	slot    int
}

// prefixLength counts the watched prefixes of a length.
type prefixLength struct {
	length, watchers int
}

func (h *hub[T]) add(w *watcher[T]) {
	h.count++
	switch c := &w.config; {
	case c.narrowed:
		if h.keys == nil {
			h.keys = map[string]watchers[T]{}
		}
		for _, key := range c.keys {
			h.keys[key] = h.keys[key].with(w)
		}
	case len(c.prefixes) > 0:
		if h.prefixes == nil {
			h.prefixes = map[string]watchers[T]{}
		}
		p := c.prefixes[0]
		h.prefixes[p] = h.prefixes[p].with(w)
		h.countLength(len(p), 1)
	default:
		h.all = h.all.with(w)
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

// remove takes a watcher out and has its channel closed. It reports whether the watcher was still there.
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
	case c.narrowed:
		for slot, key := range c.keys {
			removeFrom(h.keys, key, w, slot)
		}
	case len(c.prefixes) > 0:
		removeFrom(h.prefixes, c.prefixes[0], w, 0)
		h.countLength(len(c.prefixes[0]), -1)
	default:
		h.all = h.all.without(w, 0)
	}
	close(w.done)
	if w.events != nil {
		close(w.events)
	}
	return true
}

func removeFrom[T any](m map[string]watchers[T], key string, w *watcher[T], slot int) {
	if rest := m[key].without(w, slot); len(rest) > 0 {
		m[key] = rest
	} else {
		delete(m, key)
	}
}

func (ws watchers[T]) with(w *watcher[T]) watchers[T] {
	w.at = append(w.at, len(ws))
	return append(ws, member[T]{w, len(w.at) - 1})
}

// without removes w, putting the last in its place.
func (ws watchers[T]) without(w *watcher[T], slot int) watchers[T] {
	last := len(ws) - 1
	i := w.at[slot]
	ws[i] = ws[last]
	ws[i].watcher.at[ws[i].slot] = i
	ws[last] = member[T]{}
	return ws[:last]
}

func (h *hub[T]) closeAll() {
	for len(h.all) > 0 {
		h.remove(h.all[len(h.all)-1].watcher)
	}
	for _, m := range []map[string]watchers[T]{h.keys, h.prefixes} {
		for _, ws := range m {
			for _, m := range append(watchers[T](nil), ws...) {
				h.remove(m.watcher)
			}
		}
	}
}
