package crdt

import "slices"

// States are kept as sorted slices without repeats: merging is one pass with one allocation, an encoding is
// in order by itself, and equal states are equal all through. An empty one is nil. Slices are shared
// between values and never written after they were made.

// union returns the sorted join of two sorted slices; join takes items that compare equal, its first argument from a.
// It returns one of the slices where the other is empty.
func union[I any](a, b []I, compare func(x, y I) int, join func(x, y I) I) []I {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := make([]I, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := compare(a[0], b[0]); {
		case c < 0:
			all, a = append(all, a[0]), a[1:]
		case c > 0:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, join(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// with returns items with one joined in, sorted.
func with[I any](items []I, item I, compare func(x, y I) int, join func(x, y I) I) []I {
	i, found := slices.BinarySearchFunc(items, item, compare)
	if found {
		items = slices.Clone(items)
		items[i] = join(items[i], item)
		return items
	}
	more := make([]I, 0, len(items)+1)
	more = append(append(more, items[:i]...), item)
	return append(more, items[i:]...)
}

// normalised sorts items and joins those that compare equal: what decoding does with what it is given. It
// takes the slice over.
func normalised[I any](items []I, compare func(x, y I) int, join func(x, y I) I) []I {
	if len(items) == 0 {
		return nil
	}
	slices.SortStableFunc(items, compare)
	n := 0
	for _, item := range items[1:] {
		if compare(items[n], item) == 0 {
			items[n] = join(items[n], item)
			continue
		}
		n++
		items[n] = item
	}
	return items[:n+1]
}

// first is the join of items of which neither says more than the other.
func first[I any](x, _ I) I { return x }
