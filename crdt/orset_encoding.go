package crdt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

var (
	errBadSpan  = errors.New("crdt: history with a span that does not run from 1 or later upwards")
	errBadTag   = errors.New("crdt: element without a tag, or with one that the history lacks or another element has")
	errBadIndex = errors.New("crdt: tag of a replica that the history lacks")
)

type orSetJSON[E Element] struct {
	Elements []heldJSON[E]       `json:"elements"`
	History  map[string][]uint64 `json:"history"` // replica → first, last, first, last, …
}

type heldJSON[E Element] struct {
	Element E                   `json:"element"`
	Tags    map[string][]uint64 `json:"tags"` // replica → numbers
}

// MarshalJSON writes the elements with their tags, ascending, and the history as first and last tags:
//
//	{"elements": [{"element": "milk", "tags": {"pod-a": [3]}}], "history": {"pod-a": [1, 3]}}
func (s ORSet[E]) MarshalJSON() ([]byte, error) {
	v := orSetJSON[E]{
		Elements: make([]heldJSON[E], 0, len(s.present)),
		History:  make(map[string][]uint64, len(s.history.seen)),
	}
	for _, h := range s.history.seen {
		if err := checkText(h.replica); err != nil {
			return nil, err
		}
		for _, run := range h.runs {
			v.History[h.replica] = append(v.History[h.replica], run.first, run.last)
		}
	}
	for _, h := range s.present {
		if err := checkText(h.element); err != nil {
			return nil, err
		}
		tags := make(map[string][]uint64, len(h.tags))
		for _, t := range h.tags {
			tags[t.replica] = append(tags[t.replica], t.n)
		}
		v.Elements = append(v.Elements, heldJSON[E]{h.element, tags})
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes, in any order. A tag that is not in the history, or holds two elements,
// is an error.
func (s *ORSet[E]) UnmarshalJSON(b []byte) error {
	var v orSetJSON[E]
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	var set ORSet[E]
	for replica, numbers := range v.History {
		if len(numbers)%2 != 0 {
			return errBadSpan
		}
		h := spans{replica: replica}
		for ends := range slices.Chunk(numbers, 2) {
			h.runs = append(h.runs, span{ends[0], ends[1]})
		}
		set.history.seen = append(set.history.seen, h)
	}
	for _, e := range v.Elements {
		h := held[E]{element: e.Element}
		for replica, numbers := range e.Tags {
			for _, n := range numbers {
				h.tags = append(h.tags, tag{replica, n})
			}
		}
		set.present = append(set.present, h)
	}
	return s.set(set)
}

// EncodeMsgpack writes the replicas with their spans, then the elements with their tags, which name a replica by its
// place in the first list:
//
//	[[replica, [first, last − first, …], …], [[element, place, number, …], …]]
func (s ORSet[E]) EncodeMsgpack(enc *msgpack.Encoder) error {
	w := writer{enc: enc}
	w.array(2)
	w.array(2 * len(s.history.seen))
	for _, h := range s.history.seen {
		w.do(enc.EncodeString(h.replica))
		w.array(2 * len(h.runs))
		for _, run := range h.runs {
			w.uint(run.first)
			w.uint(run.last - run.first)
		}
	}
	w.array(len(s.present))
	for _, h := range s.present {
		w.array(1 + 2*len(h.tags))
		w.do(encodeElement(enc, h.element))
		for _, t := range h.tags {
			place, _ := slices.BinarySearchFunc(s.history.seen, spans{replica: t.replica}, compareSpans)
			w.uint(uint64(place))
			w.uint(t.n)
		}
	}
	return w.err
}

// writer keeps the first error of many small writes, which go to memory and hardly fail.
type writer struct {
	enc *msgpack.Encoder
	err error
}

func (w *writer) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) array(n int)   { w.do(w.enc.EncodeArrayLen(n)) }
func (w *writer) uint(n uint64) { w.do(w.enc.EncodeUint(n)) }

// DecodeMsgpack reads what EncodeMsgpack writes. A tag that is not in the history, or holds two elements, is an
// error.
func (s *ORSet[E]) DecodeMsgpack(dec *msgpack.Decoder) error {
	var set ORSet[E]
	if err := decodeFixed(dec, 2); err != nil {
		return err
	}
	replicas, err := decodePairs(dec)
	if err != nil {
		return err
	}
	for range replicas {
		h, err := decodeSpans(dec)
		if err != nil {
			return err
		}
		set.history.seen = append(set.history.seen, h)
	}
	elements, err := decodeLen(dec)
	if err != nil {
		return err
	}
	for range elements {
		h, err := decodeHeld[E](dec, set.history.seen)
		if err != nil {
			return err
		}
		set.present = append(set.present, h)
	}
	return s.set(set)
}

func decodeSpans(dec *msgpack.Decoder) (h spans, err error) {
	if h.replica, err = decodeString(dec); err != nil {
		return h, err
	}
	runs, err := decodePairs(dec)
	if err != nil {
		return h, err
	}
	for range runs {
		start, err := decodeUint(dec)
		if err != nil {
			return h, err
		}
		length, err := decodeUint(dec)
		if err != nil {
			return h, err
		}
		h.runs = append(h.runs, span{start, start + length}) // set sees if that wraps
	}
	return h, nil
}

func decodeHeld[E Element](dec *msgpack.Decoder, replicas []spans) (h held[E], err error) {
	n, err := decodeLen(dec)
	if err == nil && n%2 != 1 {
		err = fmt.Errorf("crdt: array of %d, which is no element with tags", n)
	}
	if err != nil {
		return h, err
	}
	if h.element, err = decodeElement[E](dec); err != nil {
		return h, err
	}
	for range n / 2 {
		place, err := decodeUint(dec)
		if err == nil && place >= uint64(len(replicas)) {
			err = errBadIndex
		}
		if err != nil {
			return h, err
		}
		number, err := decodeUint(dec)
		if err != nil {
			return h, err
		}
		h.tags = append(h.tags, tag{replicas[place].replica, number})
	}
	return h, nil
}

// set takes over a decoded state, in any order, if it keeps the invariants.
func (s *ORSet[E]) set(v ORSet[E]) error {
	v.history.seen = slices.DeleteFunc(v.history.seen, func(h spans) bool { return len(h.runs) == 0 })
	for i, h := range v.history.seen {
		if slices.ContainsFunc(h.runs, func(run span) bool { return run.first < 1 || run.last < run.first }) {
			return errBadSpan
		}
		v.history.seen[i].runs = joinRuns(h.runs, nil)
	}
	v.history.seen = normalised(v.history.seen, compareSpans, joinSpans)
	seen := map[tag]bool{}
	for i, h := range v.present {
		if len(h.tags) == 0 {
			return errBadTag
		}
		for _, t := range h.tags {
			if seen[t] || !v.history.covers(t) {
				return errBadTag
			}
			seen[t] = true
		}
		v.present[i].tags = normalised(h.tags, compareTags, first)
	}
	v.present = normalised(v.present, compareHeld, func(a, b held[E]) held[E] {
		return held[E]{a.element, union(a.tags, b.tags, compareTags, first)}
	})
	*s = v
	return nil
}
