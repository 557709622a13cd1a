package crdt

import (
	"cmp"

	"github.com/vmihailenco/msgpack/v5"
)

// Min is the smallest of all values that were reported. The zero Min has none yet, and is above every value.
//
// Any pod sets what it has, without reading first:
//
//	err := lows.Set(ctx, "free slots", crdt.NewMin(n))
//
// A Delete of the key forgets the values before it. A pod that then writes brings back its own run's smallest only if its
// write is ordered after the Delete and it had not seen it; a pod that has seen it starts anew.
//
// NaN is no value: NewMin of it is the zero Min. Minus zero is zero.
type Min[N cmp.Ordered] struct {
	extreme[N]
}

// NewMin returns the Min of a single value.
func NewMin[N cmp.Ordered](n N) Min[N] { return Min[N]{newExtreme(n)} }

// Add returns the Min of m's values and n.
func (m Min[N]) Add(n N) Min[N] { return m.Merge(NewMin(n)) }

// Merge returns the smaller one.
func (m Min[N]) Merge(o Min[N]) Min[N] {
	if !m.known || o.known && o.value < m.value {
		return o
	}
	return m
}

// MarshalJSON writes the value, or null if there is none. JSON has no infinity: that is an error.
func (m Min[N]) MarshalJSON() ([]byte, error) { return m.marshalJSON() }

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Min[N]) UnmarshalJSON(b []byte) error { return m.unmarshalJSON(b) }

// EncodeMsgpack writes the value, or nil if there is none.
func (m Min[N]) EncodeMsgpack(enc *msgpack.Encoder) error { return m.encodeMsgpack(enc) }

// DecodeMsgpack reads what EncodeMsgpack writes. NaN is an error.
func (m *Min[N]) DecodeMsgpack(dec *msgpack.Decoder) error { return m.decodeMsgpack(dec) }
