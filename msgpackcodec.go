package podshare

import (
	"bytes"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// MsgpackCodec writes values as msgpack: faster and more compact than [JSONCodec], and read by any language. It
// writes structs as maps from names to values. Unknown names are ignored, so that old and new
// versions of a type can be deployed side by side.
//
// The name of a field is that of its `msgpack` tag, else that of its `json` tag, else that of the field: a type
// made for JSON keeps its names, and its omitempty. Integers take the shortest form, which loses their width: in an
// interface they come back as whatever type holds them. A number too large for its field is cut, as by a conversion in Go.
//
// Maps with keys and values of string, bool or any (map[string]string, map[string]bool, map[string]any) are written by
// key, others in the order in which Go ranges over them.
//
// Input that is not a single complete msgpack value is an error before anything of it is decoded, as is one that
// is nested more than 1,000 deep: no input can make Unmarshal allocate more than the type asks for its length, or
// run out of stack. Types that panic while they are written or read give an [ErrPanic].
// A value that contains itself must not be written.
type MsgpackCodec struct{}

// Marshal returns v as msgpack.
func (MsgpackCodec) Marshal(v any) (b []byte, err error) {
	defer recovered(&err)
	w := msgpackWriters.Get().(*msgpackWriter)
	w.buf.Reset()
	w.enc.Reset(&w.buf)
	w.enc.SetCustomStructTag("json")
	w.enc.SetSortMapKeys(true)
	w.enc.UseCompactInts(true)
	if err := w.enc.Encode(v); err != nil {
		return nil, err // and leave w to the collector: it may be in any state
	}
	b = bytes.Clone(w.buf.Bytes())
	if w.buf.Cap() <= maxPooled {
		msgpackWriters.Put(w)
	}
	return b, nil
}

// Unmarshal reads msgpack into v.
func (MsgpackCodec) Unmarshal(b []byte, v any) (err error) {
	defer recovered(&err)
	if err := checkMsgpack(b); err != nil {
		return err
	}
	r := msgpackReaders.Get().(*msgpackReader)
	r.bytes.Reset(b)
	r.dec.Reset(&r.bytes)
	r.dec.SetCustomStructTag("json")
	if err := r.dec.Decode(v); err != nil {
		return err // as above
	}
	r.bytes.Reset(nil) // b is the caller's
	msgpackReaders.Put(r)
	return nil
}

// Name returns "msgpack".
func (MsgpackCodec) Name() string { return "msgpack" }

// maxPooled is the largest buffer that is kept for the next value, in bytes.
const maxPooled = 64 << 10

type msgpackWriter struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
}

type msgpackReader struct {
	bytes bytes.Reader
	dec   *msgpack.Decoder
}

// Encoders and decoders have buffers of their own, which are worth keeping.
//
//nolint:gochecknoglobals // pools, which know no value
var (
	msgpackWriters = sync.Pool{New: func() any { return &msgpackWriter{enc: msgpack.NewEncoder(nil)} }}
	msgpackReaders = sync.Pool{New: func() any { return &msgpackReader{dec: msgpack.NewDecoder(nil)} }}
)
