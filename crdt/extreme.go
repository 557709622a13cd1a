package crdt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// extreme is a value or none yet: what Max and Min have in common.
type extreme[N cmp.Ordered] struct {
	value N // zero unless known; never NaN or −0
	known bool
}

var errNaN = errors.New("crdt: NaN is neither large nor small")

func newExtreme[N cmp.Ordered](n N) extreme[N] {
	var zero N
	if n != n { // only NaN differs from itself
		return extreme[N]{}
	}
	return extreme[N]{n + zero, true} // −0 + 0 is 0; a text plus none is itself
}

// Get returns the value, and whether there is one.
func (x extreme[N]) Get() (value N, ok bool) { return x.value, x.known }

// String returns the value as text, "none" if there is none.
func (x extreme[N]) String() string {
	if !x.known {
		return "none"
	}
	return fmt.Sprint(x.value)
}

func (x extreme[N]) marshalJSON() ([]byte, error) {
	if !x.known {
		return []byte("null"), nil
	}
	if s := reflect.ValueOf(x.value); s.Kind() == reflect.String {
		if err := checkText(s.String()); err != nil {
			return nil, err
		}
	}
	return json.Marshal(x.value)
}

func (x *extreme[N]) unmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		*x = extreme[N]{}
		return nil
	}
	var n N
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*x = newExtreme(n)
	return nil
}

func (x extreme[N]) encodeMsgpack(enc *msgpack.Encoder) error {
	v := reflect.ValueOf(x.value)
	switch {
	case !x.known:
		return enc.EncodeNil()
	case v.CanInt():
		return enc.EncodeInt(v.Int())
	case v.CanUint():
		return enc.EncodeUint(v.Uint())
	case v.Kind() == reflect.Float32:
		return enc.EncodeFloat32(float32(v.Float()))
	case v.CanFloat():
		return enc.EncodeFloat64(v.Float())
	default:
		return enc.EncodeString(v.String())
	}
}

func (x *extreme[N]) decodeMsgpack(dec *msgpack.Decoder) error {
	c, err := dec.PeekCode()
	if err != nil {
		return err
	}
	if c == msgpcode.Nil {
		*x = extreme[N]{}
		return dec.DecodeNil()
	}
	var n N
	v := reflect.ValueOf(&n).Elem()
	if err := decodeBasic(dec, v); err != nil {
		return err
	}
	if *x = newExtreme(n); !x.known {
		return errNaN
	}
	return nil
}
