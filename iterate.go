package podshare

import (
	"iter"
	"strings"
)

// Keys returns the keys of one moment, in no order.
func (s *Store[T]) Keys() []string {
	var keys []string
	for key := range s.All() {
		keys = append(keys, key)
	}
	return keys
}

// Snapshot returns keys and values of one moment. The map is the caller's, the values are shared: read
// them only. Writers are not held up while it is gathered.
func (s *Store[T]) Snapshot() map[string]T {
	m := make(map[string]T, s.Len())
	for key, value := range s.All() {
		m[key] = value
	}
	return m
}

// Len returns the number of keys that are served. It costs the same however many they are.
func (s *Store[T]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.live - s.core.unserved(s.now())
}

// All iterates over keys and values, in no order, as they are at the moment when a loop begins, batches whole. It
// takes no copy and does not hold up writers; the loop may use the Store. Values are shared: read them only.
func (s *Store[T]) All() iter.Seq2[string, T] { return s.Prefix("") }

// Prefix is [Store.All] for the keys with a prefix. It looks at every key.
func (s *Store[T]) Prefix(prefix string) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		s.mu.Lock()
		v := s.index.View()
		s.mu.Unlock()
		defer v.Close()
		for e := v.Next(); e != nil; e = v.Next() {
			if !strings.HasPrefix(e.Key, prefix) {
				continue
			}
			if value, served := s.read(e); served && !yield(e.Key, value) {
				return
			}
		}
	}
}

// unserved counts live keys that are not served: their owner was not heard yet, or their time is over and no tick has
// latched them. It looks at the latter one by one; they are few, for a tick follows at once.
func (r *replica[T]) unserved(at instant) int {
	if r.cfg.merge != nil {
		return r.unservedJoins(at)
	}
	n := 0
	for _, ow := range r.owners {
		if !ow.serves(at.mono) {
			n += len(ow.keys)
		}
	}
	for a := range r.deadlines.upTo(r.clock.now(at)) {
		if !r.stillDue(a) {
			continue
		}
		if ow := r.lookup([]byte(a.key)).Val.ext.owner; ow == nil || ow.serves(at.mono) { // else it is counted above
			n++
		}
	}
	return n
}

// unservedJoins is unserved with a Merger, where a key may have other parts that are served, and one of which no part
// was heard is dead.
func (r *replica[T]) unservedJoins(at instant) int {
	over := map[string]bool{}
	look := func(key string) {
		if e := r.lookup([]byte(key)); !e.Val.dead() {
			_, served := r.read(at, e)
			over[key] = !served
		}
	}
	for _, ow := range r.owners {
		if ow.heard.Load() && !ow.serves(at.mono) {
			for _, key := range ow.keys {
				look(key)
			}
		}
	}
	for a := range r.deadlines.upTo(r.clock.now(at)) {
		if r.stillDue(a) {
			look(a.key)
		}
	}
	n := 0
	for _, is := range over {
		if is {
			n++
		}
	}
	return n
}
