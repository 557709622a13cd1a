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
	return s.core.live - s.core.hidden()
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

// hidden counts live keys that are not served, for their owner was not heard yet.
func (r *replica[T]) hidden() int {
	n := 0
	if r.cfg.merge == nil { // else such a key is dead, or shows others' parts
		for _, ow := range r.owners {
			if !ow.heard.Load() {
				n += len(ow.keys)
			}
		}
	}
	return n
}
