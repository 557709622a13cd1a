package crdt

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

type entryJSON[K Element, V any] struct {
	Key     K         `json:"key"`
	Value   *V        `json:"value,omitempty"`
	At      time.Time `json:"at"`
	Node    string    `json:"node"`
	Removed bool      `json:"removed,omitempty"`
}

// MarshalJSON writes the entries, by key, removed ones without a value:
//
//	[{"key": "city", "value": "Oslo", "at": "2026-03-01T12:00:00.000000001Z", "node": "pod-a"}]
//
// Equal maps have equal bytes if equal values of V have.
func (m LWWMap[K, V]) MarshalJSON() ([]byte, error) {
	entries := make([]entryJSON[K, V], 0, len(m.entries))
	for i := range m.entries {
		e := &m.entries[i]
		if err := checkText(e.key); err != nil {
			return nil, err
		}
		if err := checkText(e.at.node); err != nil {
			return nil, err
		}
		v := entryJSON[K, V]{Key: e.key, At: e.at.Time(), Node: e.at.node, Removed: e.removed}
		if !e.removed {
			v.Value = &e.value
		}
		entries = append(entries, v)
	}
	return json.Marshal(entries)
}

// UnmarshalJSON reads what MarshalJSON writes, in any order. A removed entry with a value is an error, as is a time outside
// of what a [Stamp] holds.
func (m *LWWMap[K, V]) UnmarshalJSON(b []byte) error {
	var entries []entryJSON[K, V]
	if err := json.Unmarshal(b, &entries); err != nil {
		return err
	}
	all := make([]entry[K, V], 0, len(entries))
	for _, v := range entries {
		at := NewStamp(v.At, v.Node)
		switch {
		case !at.Time().Equal(v.At):
			return fmt.Errorf("crdt: entry %v: time %v does not fit into a stamp", v.Key, v.At)
		case v.Removed && v.Value != nil:
			return fmt.Errorf("crdt: entry %v is removed and has a value", v.Key)
		}
		e := entry[K, V]{key: v.Key, at: at, removed: v.Removed}
		if v.Value != nil { // else it is null, or the zero value of a V that omits itself
			e.value = *v.Value
		}
		all = append(all, e)
	}
	m.entries = normalised(all, compareEntries, newer)
	return nil
}

// EncodeMsgpack writes the entries as an array, by key:
//
//	[[key, ns since 1970, node, value], [key, ns since 1970, node], …]
//
// where one without a value is removed. Equal maps have equal bytes if equal values of V have.
func (m LWWMap[K, V]) EncodeMsgpack(enc *msgpack.Encoder) error {
	w := writer{enc: enc}
	w.array(len(m.entries))
	for i := range m.entries {
		e := &m.entries[i]
		if e.removed {
			w.array(3)
		} else {
			w.array(4)
		}
		w.do(encodeElement(enc, e.key))
		w.do(enc.EncodeInt(e.at.ns))
		w.do(enc.EncodeString(e.at.node))
		if !e.removed {
			w.do(enc.Encode(&e.value))
		}
	}
	return w.err
}

// DecodeMsgpack reads what EncodeMsgpack writes, in any order.
func (m *LWWMap[K, V]) DecodeMsgpack(dec *msgpack.Decoder) error {
	n, err := decodeLen(dec)
	if err != nil {
		return err
	}
	var all []entry[K, V]
	for range n {
		e, err := decodeEntry[K, V](dec)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	m.entries = normalised(all, compareEntries, newer)
	return nil
}

func decodeEntry[K Element, V any](dec *msgpack.Decoder) (e entry[K, V], err error) {
	n, err := dec.DecodeArrayLen()
	if err == nil && n != 3 && n != 4 {
		err = fmt.Errorf("crdt: array of %d, which is no entry", n)
	}
	if err != nil {
		return e, err
	}
	if e.key, err = decodeElement[K](dec); err != nil {
		return e, err
	}
	if e.at.ns, err = decodeInt(dec); err != nil {
		return e, err
	}
	if e.at.node, err = decodeString(dec); err != nil {
		return e, err
	}
	if e.removed = n == 3; e.removed {
		return e, nil
	}
	return e, dec.Decode(&e.value)
}
