package crdt

import (
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Element is what sets hold and maps are keyed by: integers and strings. Floats are left out for NaN, which is in no
// order, and for −0, which equals another value with other bytes. Keys that are structs are best written as strings.
type Element interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~string
}

// checkText reports text that JSON would change on the way.
func checkText[E Element](e E) error {
	s, ok := any(e).(string)
	if v := reflect.ValueOf(e); !ok && v.Kind() == reflect.String {
		s = v.String()
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("crdt: %q is not UTF-8, which JSON cannot hold", s)
	}
	return nil
}

// encodeElement writes an element in its shortest form, whatever the flags of the encoder.
func encodeElement[E Element](enc *msgpack.Encoder, e E) error {
	switch e := any(e).(type) { // without reflection for the usual ones
	case string:
		return enc.EncodeString(e)
	case int:
		return enc.EncodeInt(int64(e))
	case int64:
		return enc.EncodeInt(e)
	case uint64:
		return enc.EncodeUint(e)
	}
	v := reflect.ValueOf(e)
	switch {
	case v.Kind() == reflect.String:
		return enc.EncodeString(v.String())
	case v.CanInt():
		return enc.EncodeInt(v.Int())
	default:
		return enc.EncodeUint(v.Uint())
	}
}

// decodeElement reads an element, and refuses a number that E has no place for.
func decodeElement[E Element](dec *msgpack.Decoder) (e E, err error) {
	switch p := any(&e).(type) { // without reflection for the usual ones
	case *string:
		*p, err = decodeString(dec)
	case *int64:
		*p, err = decodeInt(dec)
	case *uint64:
		*p, err = decodeUint(dec)
	default:
		err = decodeBasic(dec, reflect.ValueOf(p).Elem())
	}
	return e, err
}

// decodeBasic reads a number or text into v, and refuses what it has no place for.
func decodeBasic(dec *msgpack.Decoder, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		s, err := decodeString(dec)
		v.SetString(s)
		return err
	case v.CanFloat():
		f, err := dec.DecodeFloat64()
		if err == nil && v.OverflowFloat(f) {
			err = fmt.Errorf("crdt: %v does not fit into %v", f, v.Type())
		}
		v.SetFloat(f)
		return err
	case v.CanInt():
		n, err := decodeInt(dec)
		if err == nil && v.OverflowInt(n) {
			err = fmt.Errorf("crdt: %d does not fit into %v", n, v.Type())
		}
		v.SetInt(n)
		return err
	default:
		n, err := decodeUint(dec)
		if err == nil && v.OverflowUint(n) {
			err = fmt.Errorf("crdt: %d does not fit into %v", n, v.Type())
		}
		v.SetUint(n)
		return err
	}
}

func decodeString(dec *msgpack.Decoder) (string, error) {
	c, err := dec.PeekCode()
	if err == nil && !msgpcode.IsString(c) {
		err = fmt.Errorf("crdt: msgpack code %#x where a string belongs", c)
	}
	if err != nil {
		return "", err
	}
	return dec.DecodeString()
}

// decodeInt is DecodeInt64 that refuses what is no integer, or larger than an int64.
func decodeInt(dec *msgpack.Decoder) (int64, error) {
	c, err := dec.PeekCode()
	if err != nil {
		return 0, err
	}
	switch {
	case msgpcode.IsFixedNum(c):
	case c >= msgpcode.Uint8 && c <= msgpcode.Int64:
	default:
		return 0, fmt.Errorf("crdt: msgpack code %#x where an integer belongs", c)
	}
	n, err := dec.DecodeInt64()
	if err == nil && c == msgpcode.Uint64 && n < 0 {
		err = fmt.Errorf("crdt: %d does not fit into int64", uint64(n))
	}
	return n, err
}

// decodeUint is DecodeUint64 that refuses what is no integer, or negative.
func decodeUint(dec *msgpack.Decoder) (uint64, error) {
	c, err := dec.PeekCode()
	if err != nil {
		return 0, err
	}
	if c == msgpcode.Uint64 {
		return dec.DecodeUint64()
	}
	n, err := decodeInt(dec)
	if err == nil && n < 0 {
		err = fmt.Errorf("crdt: %d where a number from 0 belongs", n)
	}
	return uint64(n), err
}

// decodeLen reads the length of an array; nil counts as empty.
func decodeLen(dec *msgpack.Decoder) (int, error) {
	n, err := dec.DecodeArrayLen()
	return max(n, 0), err
}

// decodeFixed reads the length of an array that must have a certain one.
func decodeFixed(dec *msgpack.Decoder, want int) error {
	n, err := dec.DecodeArrayLen()
	if err == nil && n != want {
		err = fmt.Errorf("crdt: array of %d, want %d", n, want)
	}
	return err
}

// addSaturating returns a + b, or the largest uint64: a counter never falls.
func addSaturating(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// decodePairs reads the length of an array of pairs, and returns their number.
func decodePairs(dec *msgpack.Decoder) (int, error) {
	n, err := decodeLen(dec)
	if err == nil && n%2 != 0 {
		err = fmt.Errorf("crdt: array of %d, which are no pairs", n)
	}
	return n / 2, err
}
