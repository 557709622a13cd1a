package podshare

import (
	"iter"
	"maps"
	"strings"
)

// Keys returns the keys of one moment, in no order.
func (s *Store[T]) Keys() []string {
	keys := make([]string, 0, s.Len())
	for key := range s.All() {
		keys = append(keys, key)
	}
	return keys
}

// Snapshot returns keys and values of one moment. The map is the caller's, the values are shared: read
// them only. Writers are not held up while it is gathered.
func (s *Store[T]) Snapshot() map[string]T {
	m := make(map[string]T, s.Len())
	maps.Insert(m, s.All())
	return m
}

// Len returns the number of keys that are served. It costs the same however many they are.
func (s *Store[T]) Len() int {
	s.lockLatched()
	defer s.mu.Unlock()
	return s.core.shownKeys()
}

// All iterates over keys and values, in no order, as they are at the moment when a loop begins, batches whole. It
// takes no copy and does not hold up writers; the loop may use the Store. What is replaced while it runs is kept until
// the loop is past it or ends, and each write costs a little more. Values are shared: read them only.
func (s *Store[T]) All() iter.Seq2[string, T] { return s.Prefix("") }

// Prefix is [Store.All] for the keys with a prefix. It looks at every key.
func (s *Store[T]) Prefix(prefix string) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		s.lockLatched()
		v, unheard := s.index.View(), s.core.unheard()
		s.mu.Unlock()
		defer v.Close()
		for e := v.Next(); e != nil; e = v.Next() {
			if e.Val.dead() || unheard[e.Val.owner()] || !strings.HasPrefix(e.Key, prefix) {
				continue
			}
			if !yield(e.Key, e.Val.value) {
				return
			}
		}
	}
}

// lockLatched locks mu at a moment when nothing is past its time. What is live is then served, but for the keys of
// unheard owners. It is paid for by the writes: each is latched once.
func (s *Store[T]) lockLatched() {
	s.mu.Lock()
	for at := s.now(); s.core.latchDue(at); at = s.now() {
		s.settleLocked(at)
		s.mu.Unlock() // writers come in between
		s.mu.Lock()
	}
}

// latchDue latches some writes that are past their time, and reports whether there were any.
func (r *replica[T]) latchDue(at instant) bool {
	first, ok := r.deadlines.first()
	if (!ok || first.at > r.clock.now(at)) && r.nextLapse() > at.mono {
		return false
	}
	r.expire(at)
	r.lapse(at)
	return true
}

// shownKeys counts the keys that are served when nothing is past its time.
func (r *replica[T]) shownKeys() int {
	n := r.live
	for ow := range r.unheard() {
		n -= len(ow.keys)
	}
	return n
}

// unheard returns the owners whose keys are live and not served, for they were not heard yet.
func (r *replica[T]) unheard() map[*owner]bool {
	if r.cfg.merge != nil {
		return nil // such a key is dead, or shows others' parts
	}
	var set map[*owner]bool // nil for most
	for _, ow := range r.owners {
		if ow.heard.Load() {
			continue
		}
		if set == nil {
			set = map[*owner]bool{}
		}
		set[ow] = true
	}
	return set
}
