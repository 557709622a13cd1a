package crdt

import (
	"cmp"
	"iter"
	"slices"
)

// ORSet is a set with Add and Remove in which an add wins over a concurrent remove: Remove takes away the adds that it
// has seen, and no other.
//
// Each Add has a tag, unique for ever. The state is the elements with the tags that hold them, and the history of all
// tags it has taken note of. A tag in the history that holds no element belongs to one that was removed: hence
// there are no tombstones. The state takes room for the elements present, and a span of tags for each run that
// ever added one; see [Replica] on how spans stay whole. A Delete of the key forgets the history too.
//
// The change alone can be set, from any number of goroutines and without reading first for an Add:
//
//	err := carts.Set(ctx, "ann", crdt.ORSet[string]{}.Add(replica, "milk"))
//	cart, _ := carts.Get("ann")
//	err = carts.Set(ctx, "ann", cart.Removal("milk"))
//
// Setting the whole, cart.Remove("milk"), comes to the same and makes this pod's part as large as the set.
//
// A Delete of the key removes all adds that were ordered before it, concurrent ones too: unlike Remove it does
// not spare what it has not seen. A write after the Delete by a pod that had not seen it brings back
// what it contains, which are the adds of that pod's own run if only changes are set, and else the whole set as that
// pod knew it. So empty a set with Clear, and Delete its key when nobody needs it any more.
type ORSet[E Element] struct {
	history history
	present []held[E] // by element; every tag is in history, and holds one element
}

// held is an element with the adds that hold it.
type held[E Element] struct {
	element E
	tags    []tag // ascending; never empty
}

func compareHeld[E Element](a, b held[E]) int { return cmp.Compare(a.element, b.element) }

// Add returns s with the elements, as added by r.
func (s ORSet[E]) Add(r *Replica, elements ...E) ORSet[E] {
	var seen history
	added := make([]held[E], 0, len(elements))
	for _, e := range NewGSet(elements...).elements {
		t := r.tag()
		seen = seen.with(t)
		added = append(added, held[E]{e, []tag{t}})
	}
	if len(added) == 0 {
		return s
	}
	return ORSet[E]{
		history: s.history.merge(seen),
		// The new tag takes the place of those seen: one is enough to hold the element.
		present: union(s.present, added, compareHeld, func(_, h held[E]) held[E] { return h }),
	}
}

// Remove returns s without the elements.
func (s ORSet[E]) Remove(elements ...E) ORSet[E] {
	gone := NewGSet(elements...)
	var present []held[E]
	for _, h := range s.present {
		if !gone.Contains(h.element) {
			present = append(present, h)
		}
	}
	s.present = present
	return s
}

// Removal returns the change that Remove makes, for a Set by itself: s.Merge(s.Removal(e)) is s.Remove(e).
func (s ORSet[E]) Removal(elements ...E) ORSet[E] {
	removed := make([]tag, 0, len(elements))
	for _, e := range elements {
		removed = append(removed, s.tags(e)...)
	}
	return ORSet[E]{history: historyOf(removed)}
}

// Clear returns s without any element: all adds seen so far are removed, and concurrent ones stay.
func (s ORSet[E]) Clear() ORSet[E] { return ORSet[E]{history: s.history} }

// Contains reports whether e is in the set.
func (s ORSet[E]) Contains(e E) bool { return len(s.tags(e)) > 0 }

// Len returns how many elements there are.
func (s ORSet[E]) Len() int { return len(s.present) }

// All ranges over the elements, ascending.
func (s ORSet[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		for _, h := range s.present {
			if !yield(h.element) {
				return
			}
		}
	}
}

// Merge returns the set in which an add of either side stands unless the other side has seen and removed it.
func (s ORSet[E]) Merge(o ORSet[E]) ORSet[E] {
	m := ORSet[E]{history: s.history.merge(o.history)}
	a, b := s.present, o.present
	if n := len(a) + len(b); n > 0 {
		m.present = make([]held[E], 0, max(len(a), len(b)))
	}
	keep := func(e E, tags []tag) {
		if len(tags) > 0 {
			m.present = append(m.present, held[E]{e, tags})
		}
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].element < b[0].element:
			keep(a[0].element, standing(a[0].tags, nil, o.history))
			a = a[1:]
		case len(a) == 0 || b[0].element < a[0].element:
			keep(b[0].element, standing(b[0].tags, nil, s.history))
			b = b[1:]
		case slices.Equal(a[0].tags, b[0].tags):
			m.present, a, b = append(m.present, a[0]), a[1:], b[1:]
		default:
			keep(a[0].element, union(
				standing(a[0].tags, b[0].tags, o.history),
				standing(b[0].tags, a[0].tags, s.history), compareTags, first))
			a, b = a[1:], b[1:]
		}
	}
	if len(m.present) == 0 {
		m.present = nil
	}
	return m
}

// standing returns the tags that the other side has too, or has never seen.
func standing(tags, others []tag, seen history) []tag {
	fallen := func(t tag) bool {
		_, found := slices.BinarySearchFunc(others, t, compareTags)
		return !found && seen.covers(t)
	}
	i := slices.IndexFunc(tags, fallen)
	if i < 0 {
		return tags
	}
	kept := tags[:i:i] // shared, so appending copies it
	for _, t := range tags[i:] {
		if !fallen(t) {
			kept = append(kept, t)
		}
	}
	return kept
}

// tags returns the adds that hold e.
func (s ORSet[E]) tags(e E) []tag {
	i, found := slices.BinarySearchFunc(s.present, held[E]{element: e}, compareHeld)
	if !found {
		return nil
	}
	return s.present[i].tags
}
