package fuzz

import (
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

var fuzzLimits = wire.Limits{MaxFrame: 1 << 20}

// FuzzFrame opens and parses arbitrary bytes as a frame. What parses is appended again, and must then parse to
// the same message, compressed or not.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) {
		checkFrame(t, frame)
		wire.Sender(frame)
		if len(frame) > 5 { // chance finds no checksum
			checkFrame(t, reseal(frame))
		}
	})
}

// FuzzSnapshot parses arbitrary bytes as the body of a snapshot, so that it reaches deep without a checksum.
func FuzzSnapshot(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		var s wire.Snapshot
		if s.Parse(body) != nil {
			return
		}
		h := wire.Header{Kind: wire.KindSnapshot, Node: []byte("pod-1"), Boot: 1, Codec: []byte("json")}
		checkAgain(t, &h, &s)
	})
}

// reseal returns the frame with the checksum that it should have.
func reseal(frame []byte) []byte {
	frame = slices.Clone(frame[:len(frame)-5])
	sum := crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(append(frame, 0xce), sum)
}

type wireMessage interface{ Parse(body []byte) error }

func newMessage(k wire.Kind) wireMessage {
	switch k {
	case wire.KindData:
		return &wire.Data{}
	case wire.KindHeartbeat:
		return &wire.Heartbeat{}
	case wire.KindGoodbye:
		return &wire.Goodbye{}
	case wire.KindWant:
		return &wire.Want{}
	case wire.KindList:
		return &wire.List{}
	case wire.KindHave:
		return &wire.Have{}
	case wire.KindMore:
		return &wire.More{}
	case wire.KindLapse:
		return &wire.Lapse{}
	case wire.KindAsk:
		return &wire.Ask{}
	case wire.KindSeen:
		return &wire.Seen{}
	case wire.KindSnapshot:
		return &wire.Snapshot{}
	default:
		panic("Open let an unknown kind through")
	}
}

func checkFrame(t *testing.T, frame []byte) {
	h, body, err := wire.Open(frame, fuzzLimits)
	if err != nil {
		return
	}
	if m := newMessage(h.Kind); m.Parse(body) == nil {
		checkAgain(t, &h, m)
	}
}

// checkAgain appends a message and requires that it parses to the same.
func checkAgain(t *testing.T, h *wire.Header, m wireMessage) {
	for _, compress := range []bool{false, true} {
		frame, ok := appendMessage(h, m, compress)
		if !ok {
			return
		}
		// Whatever was written shorter than a writer does may exceed the limit now.
		gotHeader, body, err := wire.Open(frame, wire.Limits{MaxFrame: 16 << 20})
		require.NoError(t, err)
		require.Equal(t, *h, gotHeader)
		got := newMessage(h.Kind)
		require.NoError(t, got.Parse(body))
		require.Equal(t, normal(reflect.ValueOf(m)), normal(reflect.ValueOf(got)))
	}
}

// appendMessage returns the frame of a message. It is not ok if the table of origins names one twice: readers
// bear that, writers never do it.
func appendMessage(h *wire.Header, m wireMessage, compress bool) (frame []byte, ok bool) {
	var rs wire.Records
	switch m := m.(type) {
	case *wire.Data:
		ok = addRecords(&rs, h, &m.RecordList)
		return wire.AppendData(nil, h, &rs, compress), ok
	case *wire.Have:
		ok = addRecords(&rs, h, &m.RecordList)
		return wire.AppendHave(nil, h, m, &rs, compress), ok
	case *wire.Snapshot:
		ok = addRecords(&rs, h, &m.RecordList)
		return wire.AppendSnapshot(nil, h, m, &rs, compress), ok
	default:
		plain := m.(interface {
			Append(dst []byte, h *wire.Header) []byte
		})
		return plain.Append(nil, h), true
	}
}

func addRecords(rs *wire.Records, h *wire.Header, list *wire.RecordList) (ok bool) {
	rs.Reset(h.Node, h.Boot)
	for i, o := range list.Origins {
		if rs.Index(o.Node, o.Boot) != uint32(i+1) {
			return false
		}
	}
	for i := range list.Records {
		rs.Add(&list.Records[i])
	}
	return true
}

// normal returns a message as plain values: its exported fields only, and no difference between nil and empty
// lists.
func normal(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return normal(v.Elem())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fields[f.Name] = normal(v.Field(i))
			}
		}
		return fields
	case reflect.Slice:
		if b, ok := reflect.TypeAssert[[]byte](v); ok {
			return string(b)
		}
		list := []any{}
		for i := range v.Len() {
			list = append(list, normal(v.Index(i)))
		}
		return list
	default:
		return v.Interface()
	}
}
