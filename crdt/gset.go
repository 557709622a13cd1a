package crdt

import (
	"cmp"
	"encoding/json"
	"iter"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// GSet is a set that only grows. Merge is the union.
//
// Nothing has to be read to add to it, and goroutines need no lock: Set of a set with just the new elements joins them
// into what the pod wrote before.
//
//	err := seen.Set(ctx, "users", crdt.NewGSet("ann"))
//
// A Delete of the key empties it, but for what pods write after the Delete without having seen it: that
// brings back what their own runs added, and all that they knew if they set the whole.
//
// A set that only grows needs a bound from elsewhere. [GSet.Top] is one that is still a join.
type GSet[E Element] struct {
	elements []E // ascending
}

// NewGSet returns the set of the elements.
func NewGSet[E Element](elements ...E) GSet[E] {
	return GSet[E]{normalised(slices.Clone(elements), cmp.Compare, first)}
}

// Add returns s with the elements.
func (s GSet[E]) Add(elements ...E) GSet[E] { return s.Merge(NewGSet(elements...)) }

// Contains reports whether e is in the set.
func (s GSet[E]) Contains(e E) bool {
	_, found := slices.BinarySearch(s.elements, e)
	return found
}

// Len returns how many elements there are.
func (s GSet[E]) Len() int { return len(s.elements) }

// All ranges over the elements, ascending.
func (s GSet[E]) All() iter.Seq[E] { return slices.Values(s.elements) }

// Top returns the n largest elements: for a set that keeps what is newest. All pods must use the same n:
//
//	podshare.WithMerger(func(a, b crdt.GSet[string]) crdt.GSet[string] { return a.Merge(b).Top(100) })
//
// This is a join of sets of at most n elements: what one side leaves out has n larger elements there, and so
// in every union with it. Leaving it out early changes nothing.
func (s GSet[E]) Top(n int) GSet[E] {
	if len(s.elements) <= n {
		return s
	}
	if n <= 0 {
		return GSet[E]{}
	}
	return GSet[E]{s.elements[len(s.elements)-n:]}
}

// Merge returns the union.
func (s GSet[E]) Merge(o GSet[E]) GSet[E] {
	return GSet[E]{union(s.elements, o.elements, cmp.Compare, first)}
}

// MarshalJSON writes the elements as an array, ascending.
func (s GSet[E]) MarshalJSON() ([]byte, error) {
	for _, e := range s.elements {
		if err := checkText(e); err != nil {
			return nil, err
		}
	}
	if s.elements == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(s.elements)
}

// UnmarshalJSON reads an array in any order.
func (s *GSet[E]) UnmarshalJSON(b []byte) error {
	var elements []E
	if err := json.Unmarshal(b, &elements); err != nil {
		return err
	}
	s.elements = normalised(elements, cmp.Compare, first)
	return nil
}

// EncodeMsgpack writes the elements as an array, ascending.
func (s GSet[E]) EncodeMsgpack(enc *msgpack.Encoder) error {
	if err := enc.EncodeArrayLen(len(s.elements)); err != nil {
		return err
	}
	for _, e := range s.elements {
		if err := encodeElement(enc, e); err != nil {
			return err
		}
	}
	return nil
}

// DecodeMsgpack reads an array in any order.
func (s *GSet[E]) DecodeMsgpack(dec *msgpack.Decoder) error {
	n, err := decodeLen(dec)
	if err != nil {
		return err
	}
	var elements []E
	for range n {
		e, err := decodeElement[E](dec)
		if err != nil {
			return err
		}
		elements = append(elements, e)
	}
	s.elements = normalised(elements, cmp.Compare, first)
	return nil
}
