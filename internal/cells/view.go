package cells

import (
	"slices"
	"sync"
)

// View walks over the entries that the map had at one moment, in no particular order.
//
// It reads the tables of that moment. Those that were replaced since are as they were. In the others the
// writer keeps, before it changes a slot that the view has not passed, what the slot held; that is all a
// view costs the writer (0.2 µs for such a slot), and the kept slots are forgotten as they are passed.
// Since it is slots and not keys that are kept, a key that is removed and put again needs no special care:
// in the slots of that moment each key occurs once.
//
// Copying the table before its first change would need neither lock nor Close, but costs the writer 20 µs
// a table, and puts its readers on cold cache lines.
//
// Whoever takes a view walks it to its end or closes it. A forgotten view slows down every write and holds
// on to the tables of its moment and to whatever was in them.
type View[V any] struct {
	// What the walker has taken out and not yet returned.
	rest   []*Entry[V] // of buffer
	buffer [slotsPerBucket]*Entry[V]

	// mu guards what follows between the walker and the writer. Each holds it for one bucket at most, and
	// takes no other lock meanwhile.
	mu     sync.Mutex
	dir    *directory[V] // of the view's moment; nil: ended
	index  uint64        // position: the directory index of the table …
	bucket int           // … and the bucket in it that come next
	// What slots that are not passed and were changed since held at the view's moment; nil for none.
	kept map[*slot[V]]*Entry[V]
}

// View returns a view of the map as it is now. It is the writer's; the goroutine that then walks the view
// needs no lock.
func (m *Map[V]) View() *View[V] {
	v := &View[V]{dir: m.dir.Load()}
	m.views = append(slices.DeleteFunc(m.views, (*View[V]).ended), v)
	return v
}

// keepForViews keeps for every open view what slot s, in bucket number at of table t, holds before it is
// changed. It forgets the views that have ended.
func (m *Map[V]) keepForViews(t *table[V], at int, s *slot[V], old *Entry[V]) {
	m.views = slices.DeleteFunc(m.views, func(v *View[V]) bool { return !v.keep(t, at, s, old) })
}

// keep notes that s is about to change from old. It reports whether the view is still open.
func (v *View[V]) keep(t *table[V], at int, s *slot[V], old *Entry[V]) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dir == nil {
		return false
	}
	if !v.dir.has(t) || t.first < v.index || t.first == v.index && at < v.bucket {
		return true // not of the view's moment, or passed
	}
	if _, ok := v.kept[s]; !ok {
		if v.kept == nil {
			v.kept = make(map[*slot[V]]*Entry[V])
		}
		v.kept[s] = old
	}
	return true
}

// Next returns the next entry, or nil at the end, which closes the view. One goroutine at a time may call
// it, without any lock and as slowly as it likes.
func (v *View[V]) Next() *Entry[V] {
	for len(v.rest) == 0 {
		if !v.pass() {
			return nil
		}
	}
	e := v.rest[0]
	v.rest = v.rest[1:]
	return e
}

// pass takes out the entries of the next bucket. It reports false at the end.
func (v *View[V]) pass() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dir == nil {
		return false
	}
	// A table that the directory has several times counts at its first index only.
	for v.index < uint64(len(v.dir.tables)) && v.dir.tables[v.index].first != v.index {
		v.index++
	}
	if v.index == uint64(len(v.dir.tables)) {
		v.end()
		return false
	}
	t := v.dir.tables[v.index]
	b := &t.buckets[v.bucket]
	v.rest = v.buffer[:0]
	for i := range b.slots {
		e := b.slots[i].Load()
		if len(v.kept) > 0 {
			if old, ok := v.kept[&b.slots[i]]; ok {
				e = old
				delete(v.kept, &b.slots[i])
			}
		}
		if e != nil {
			v.rest = append(v.rest, e)
		}
	}
	if v.bucket++; v.bucket == len(t.buckets) {
		v.index, v.bucket = v.index+1, 0
	}
	return true
}

// Close ends the view. Any goroutine may call it at any time and repeatedly; a walker in another goroutine
// then gets at most the rest of one bucket.
func (v *View[V]) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end()
}

// end releases what the view holds. v.mu is held.
func (v *View[V]) end() { v.dir, v.kept = nil, nil }

// ended reports whether the view was closed or has come to its end.
func (v *View[V]) ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dir == nil
}
