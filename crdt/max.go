package crdt

import (
	"cmp"

	"github.com/vmihailenco/msgpack/v5"
)

// Max is the largest of all values that were reported. The zero Max has none yet, and is below every value.
//
// Any pod sets what it has, without reading first:
//
//	err := peaks.Set(ctx, "queue length", crdt.NewMax(n))
//
// A Delete of the key forgets the values before it. A pod that then writes brings back its own run's largest only if its
// write is ordered after the Delete and it had not seen it; a pod that has seen it starts anew.
//
// NaN is no value: NewMax of it is the zero Max. Minus zero is zero.
type Max[N cmp.Ordered] struct {
	extreme[N]
}

// NewMax returns the Max of a single value.
func NewMax[N cmp.Ordered](n N) Max[N] { return Max[N]{newExtreme(n)} }

// Add returns the Max of m's values and n.
func (m Max[N]) Add(n N) Max[N] { return m.Merge(NewMax(n)) }

// Merge returns the larger one.
func (m Max[N]) Merge(o Max[N]) Max[N] {
	if !m.known || o.known && o.value > m.value {
		return o
	}
	return m
}

// MarshalJSON writes the value, or null if there is none. JSON has no infinity: that is an error.
func (m Max[N]) MarshalJSON() ([]byte, error) { return m.marshalJSON() }

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Max[N]) UnmarshalJSON(b []byte) error { return m.unmarshalJSON(b) }

// EncodeMsgpack writes the value, or nil if there is none.
func (m Max[N]) EncodeMsgpack(enc *msgpack.Encoder) error { return m.encodeMsgpack(enc) }

// DecodeMsgpack reads what EncodeMsgpack writes. NaN is an error.
func (m *Max[N]) DecodeMsgpack(dec *msgpack.Decoder) error { return m.decodeMsgpack(dec) }
