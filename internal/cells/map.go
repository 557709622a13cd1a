package cells

import (
	"hash/maphash"
	"iter"
	"sync/atomic"
	"unsafe"
)

// Entry is what the map holds for a key. It is immutable once it was put.
type Entry[V any] struct {
	Key string
	Val V
}

// Map maps keys to entries: many readers without a lock, one writer at a time.
type Map[V any] struct {
	seed maphash.Seed
	dir  atomic.Pointer[directory[V]]

	// What follows changes with the contents; the gap keeps it off the cache line that every read loads.
	_     [64]byte
	count atomic.Int64 // = Σ table.count; stored by the writer
	views []*View[V]   // open views, and closed ones until the next write; the writer's
}

// New returns an empty map. It takes about 300 bytes and grows as needed.
func New[V any]() *Map[V] { return NewSeeded[V](maphash.MakeSeed()) }

// NewSeeded is New with a given hash seed: maps of one seed and one history are walked in one order.
func NewSeeded[V any](seed maphash.Seed) *Map[V] {
	m := &Map[V]{seed: seed}
	m.dir.Store(&directory[V]{tables: []*table[V]{newTable[V](1, 0, 0)}})
	return m
}

// Hash returns the hash of a key, which differs from map to map.
func (m *Map[V]) Hash(key string) uint64 { return maphash.String(m.seed, key) }

// Get returns the entry of key, or nil. Any goroutine may call it at any time.
func (m *Map[V]) Get(key string) *Entry[V] {
	h := m.Hash(key)
	e, _ := m.dir.Load().table(h).find(h, key)
	return e
}

// Find is Get that also returns the key's hash, for who can use one.
func (m *Map[V]) Find(key string) (*Entry[V], uint64) {
	h := m.Hash(key)
	e, _ := m.dir.Load().table(h).find(h, key)
	return e, h
}

// GetBytes is Get for a key that is not a string yet. It does not keep key.
func (m *Map[V]) GetBytes(key []byte) *Entry[V] {
	return m.Get(unsafe.String(unsafe.SliceData(key), len(key))) //nolint:gosec // Get keeps no key, so the string ends before key may change
}

// Len returns the number of entries. Any goroutine may call it at any time.
func (m *Map[V]) Len() int { return int(m.count.Load()) }

// WithHash yields the entries whose keys have the hash h: mostly one, or none. Any goroutine may use it at any time.
func (m *Map[V]) WithHash(h uint64) iter.Seq[*Entry[V]] {
	return func(yield func(*Entry[V]) bool) {
		for e := range m.dir.Load().table(h).tagged(h) {
			if m.Hash(e.Key) == h && !yield(e) {
				return
			}
		}
	}
}

// Put makes e the entry of its key and returns the one that was, or nil. It is the writer's.
func (m *Map[V]) Put(e *Entry[V]) (old *Entry[V]) { return m.PutHashed(e, m.Hash(e.Key)) }

// PutHashed is Put for who knows the hash of the key.
func (m *Map[V]) PutHashed(e *Entry[V], h uint64) (old *Entry[V]) {
	t := m.dir.Load().table(h)
	old, p := t.find(h, e.Key)
	if old == nil {
		for t.full() {
			m.dir.Store(m.dir.Load().with(t.grown(m.seed)))
			t = m.dir.Load().table(h)
		}
		p = t.reserve(h)
		m.count.Add(1)
	}
	m.store(t, h, p, e, old)
	return old
}

// Remove takes key out and returns the entry that it had, or nil. It is the writer's.
func (m *Map[V]) Remove(key string) (old *Entry[V]) {
	h := m.Hash(key)
	t := m.dir.Load().table(h)
	old, p := t.find(h, key)
	if old == nil {
		return nil
	}
	m.store(t, h, p, nil, old)
	t.release(h, p)
	m.count.Add(-1)
	return old
}

// store changes a slot from old to e. Every change of a slot that readers can see is made here.
func (m *Map[V]) store(t *table[V], h uint64, p place, e, old *Entry[V]) {
	b, at := t.bucket(h, p.distance)
	s := &b.slots[p.slot]
	if len(m.views) > 0 {
		m.keepForViews(t, at, s, old)
	}
	s.Store(e)
}
