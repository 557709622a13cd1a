package crdt

import (
	"cmp"
	"iter"
	"slices"
)

// LWWMap is a map in which the newest write of each key wins, and a removal is a write. Under a Store's key it keeps
// several fields that pods change independently; a Store by itself does the same for its keys, with less ado.
//
// Each write has a [Stamp], from [Replica.Stamp] or from a clock of yours with [NewStamp]. Stamps are ordered by
// time, then by node. A write to a map is moved after what it overwrites, if need be, so who has seen a value
// and writes another one wins, whatever the clocks say. Between writes that did not know of each other the later
// clock wins: a pod whose clock is ahead by a minute wins over what others write within that minute without having
// seen its write. Two writes of one key should never have the same stamp; if so the one present stays, and Merge
// is not commutative for them.
//
// The change alone can be set without reading first. It then wins only if its stamp is newer: it has seen nothing,
// so nothing moves it.
//
//	err := profiles.Set(ctx, "ann", crdt.LWWMap[string, string]{}.Set("city", "Oslo", replica.Stamp()))
//
// A removed key is remembered with its stamp and without a value, since an older write may still come or be
// part of what another run has contributed. So the map grows with all keys that ever were in it, until a Delete of the
// key in the Store forgets them all. A Delete removes every entry written before it, whatever its stamp; pods that write
// after it without having seen it bring back what they set: their own entries, or all they knew if they set the whole.
//
// The values are shared with all who have a copy of the map. Do not change what they point to.
type LWWMap[K Element, V any] struct {
	entries []entry[K, V] // by key, removed ones included
}

// entry is the newest write of a key.
type entry[K Element, V any] struct {
	key     K
	at      Stamp
	removed bool // and so value is the zero value
	value   V
}

func compareEntries[K Element, V any](a, b entry[K, V]) int { return cmp.Compare(a.key, b.key) }

// newer returns the later of two writes, the first if they have one stamp.
func newer[K Element, V any](a, b entry[K, V]) entry[K, V] {
	if c := a.at.Compare(b.at); c < 0 || c == 0 && b.removed {
		return b
	}
	return a
}

// Set returns m with the value under the key, written at the stamp, or just after the key's present one if that is
// later.
func (m LWWMap[K, V]) Set(key K, value V, at Stamp) LWWMap[K, V] {
	return m.write(entry[K, V]{key: key, value: value, at: at})
}

// Remove returns m without the key, removed at the stamp, or just after the key's present one if that is later. The removal
// of a key that m does not have is recorded as well: an older write of it may still come.
func (m LWWMap[K, V]) Remove(key K, at Stamp) LWWMap[K, V] {
	return m.write(entry[K, V]{key: key, removed: true, at: at})
}

func (m LWWMap[K, V]) write(e entry[K, V]) LWWMap[K, V] {
	return LWWMap[K, V]{with(m.entries, e, compareEntries, func(old, e entry[K, V]) entry[K, V] {
		e.at = e.at.after(old.at)
		return e
	})}
}

// Get returns the value of a key, and whether there is one.
func (m LWWMap[K, V]) Get(key K) (value V, ok bool) {
	if i, found := m.find(key); found {
		return m.entries[i].value, !m.entries[i].removed
	}
	return value, false
}

// Stamp returns the stamp of the newest write of a key, removals included, and the zero Stamp if there was none.
func (m LWWMap[K, V]) Stamp(key K) Stamp {
	if i, found := m.find(key); found {
		return m.entries[i].at
	}
	return Stamp{}
}

func (m LWWMap[K, V]) find(key K) (int, bool) {
	return slices.BinarySearchFunc(m.entries, entry[K, V]{key: key}, compareEntries)
}

// Len returns how many keys have a value.
func (m LWWMap[K, V]) Len() int {
	n := 0
	for range m.All() {
		n++
	}
	return n
}

// All ranges over the keys that have a value, ascending.
func (m LWWMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, e := range m.entries {
			if !e.removed && !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Merge returns the newer entry of each key.
func (m LWWMap[K, V]) Merge(o LWWMap[K, V]) LWWMap[K, V] {
	return LWWMap[K, V]{union(m.entries, o.entries, compareEntries, newer)}
}
