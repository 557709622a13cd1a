package podshare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// Codec turns values into bytes and back. It is used by several goroutines at once, and must not keep or
// change the bytes that Unmarshal is given. Its methods must not close the Store.
//
// Frames and snapshots name their codec, so that a pod with another one reports [ErrCodecMismatch] instead
// of reading nonsense. The name is what Name() string returns, where a codec has that method, else its type.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(b []byte, v any) error
}

// JSONCodec writes values as JSON, the default. Unknown fields of an object are ignored, so that old and new
// versions of a type can be deployed side by side.
type JSONCodec struct{}

// Marshal returns v as JSON.
func (JSONCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal reads JSON into v.
func (JSONCodec) Unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

// Name returns "json".
func (JSONCodec) Name() string { return "json" }

// StrictJSONCodec is JSONCodec that refuses unknown fields: a value that has one is reported to the error
// handler, and the key keeps its old value on this pod until a value comes that it can read.
type StrictJSONCodec struct{}

// Marshal returns v as JSON.
func (StrictJSONCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal reads JSON into v, and fails if v has no place for a field of it.
func (StrictJSONCodec) Unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("podshare: data after the JSON value")
	}
	return nil
}

// Name returns "json": what it writes is what JSONCodec writes.
func (StrictJSONCodec) Name() string { return "json" }

// codec is a Codec bound to the type of the values, with panics turned into errors.
type codec[T any] struct {
	Codec
	nameBytes []byte
	// keepsEncoded: entries keep the bytes beside the value, for repair and snapshots to send. So a caller
	// that changes what a value points to hurts only its own pod. Without pointers there is nothing to
	// change.
	keepsEncoded bool
	// rechecks: values from peers may have fields that T does not know, which encoding anew would lose.
	// Their bytes are kept when they differ from what encoding anew gives. Parts of a merged key always keep theirs.
	rechecks bool
}

func newCodec[T any](c Codec, merges bool) codec[T] {
	name := fmt.Sprintf("%T", c)
	if n, ok := c.(interface{ Name() string }); ok {
		name = n.Name()
	}
	if merges {
		name += "+merge" // parts of a merged key are no values of a store that does not merge
	}
	t := reflect.TypeFor[T]()
	fixed := pointerFree(t)
	return codec[T]{
		Codec:        c,
		nameBytes:    []byte(name),
		keepsEncoded: !fixed,
		rechecks:     fixed && t.Kind() == reflect.Struct && !merges,
	}
}

// pointerFree reports whether values of t share no memory that anybody could change.
func pointerFree(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return pointerFree(t.Elem())
	case reflect.Struct:
		for f := range t.NumField() {
			if !pointerFree(t.Field(f).Type) {
				return false
			}
		}
		return true
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice,
		reflect.UnsafePointer, reflect.Invalid:
		return false
	default:
		return true
	}
}

func (c *codec[T]) encode(v T) (b []byte, err error) {
	defer recovered(&err)
	return c.Marshal(v)
}

func (c *codec[T]) decode(b []byte) (v T, err error) {
	err = c.decodeInto(&v, b)
	return v, err
}

// decodeInto is decode into a place that is on the heap already: a v of its own would have to be, too.
func (c *codec[T]) decodeInto(v *T, b []byte) (err error) {
	defer recovered(&err)
	return c.Unmarshal(b, v)
}

// recovered turns a panic of a callback into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrPanic, p)
	}
}
