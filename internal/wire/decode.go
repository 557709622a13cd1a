package wire

import (
	"encoding/binary"
	"slices"
)

// reader takes msgpack elements off a slice. It remembers the first field that was malformed; from then on
// every read returns zero, so that a parser reads straight through and asks once, at the end.
//
// It accepts every msgpack form of an element, the shortest or not, because the libraries of other languages
// choose differently.
//
// Invariants: 0 ≤ i ≤ len(b); bad != "" ⇒ i = len(b).
type reader struct {
	b   []byte
	i   int    // the next byte
	bad string // the first malformed field; "" while there is none
}

func (r *reader) fail(field string) {
	if r.bad == "" {
		r.bad = field
	}
	r.i = len(r.b)
}

func (r *reader) ok() bool { return r.bad == "" }

// err returns the failure, if there was one.
func (r *reader) err() error {
	if r.bad == "" {
		return nil
	}
	return &FormatError{Field: r.bad}
}

// end is err for a reader that should have nothing left.
func (r *reader) end() error {
	if r.i < len(r.b) {
		r.fail("end: trailing bytes")
	}
	return r.err()
}

// take returns the next n bytes.
func (r *reader) take(n uint64, field string) []byte {
	if n > uint64(len(r.b)-r.i) {
		r.fail(field)
		return nil
	}
	start := r.i
	r.i += int(n)
	return r.b[start:r.i:r.i]
}

// code takes the byte that says what follows. It returns codeNil, which no caller but value expects, when
// nothing is left.
func (r *reader) code(field string) byte {
	if r.i == len(r.b) {
		r.fail(field)
		return codeNil
	}
	c := r.b[r.i]
	r.i++
	return c
}

// bigEndian takes an unsigned number of 1, 2, 4 or 8 bytes.
func (r *reader) bigEndian(bytes uint64, field string) uint64 {
	b := r.take(bytes, field)
	if b == nil {
		return 0
	}
	switch bytes {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	default:
		return binary.BigEndian.Uint64(b)
	}
}

// uint takes a number, mostly a small one.
func (r *reader) uint(field string) uint64 {
	if r.i < len(r.b) && r.b[r.i] < 1<<7 {
		r.i++
		return uint64(r.b[r.i-1])
	}
	return r.longUint(field)
}

// uint64 takes a number, mostly one that was written in nine bytes.
func (r *reader) uint64(field string) uint64 {
	if b := r.b[r.i:]; len(b) >= uint64Bytes && b[0] == codeUint64 {
		r.i += uint64Bytes
		return binary.BigEndian.Uint64(b[1:])
	}
	return r.uint(field)
}

func (r *reader) longUint(field string) uint64 {
	switch c := r.code(field); c {
	case codeUint8, codeUint16, codeUint32, codeUint64:
		return r.bigEndian(1<<(c-codeUint8), field)
	case codeInt8, codeInt16, codeInt32, codeInt64:
		// Some libraries write every number as a signed one; a negative one has its top bit set.
		bytes := uint64(1) << (c - codeInt8)
		v := r.bigEndian(bytes, field)
		if v>>(8*bytes-1) != 0 {
			r.fail(field)
			return 0
		}
		return v
	default:
		r.fail(field)
		return 0
	}
}

// atMost takes a number between 0 and limit.
func (r *reader) atMost(limit uint64, field string) uint64 {
	v := r.uint(field)
	if v > limit {
		r.fail(field)
		return 0
	}
	return v
}

// flags takes a set of bits, all of them known.
func (r *reader) flags(known uint64, field string) uint64 {
	v := r.uint(field)
	if v&^known != 0 {
		r.fail(field)
		return 0
	}
	return v
}

// head takes a number of writes, 0 to MaxSeq.
func (r *reader) head(field string) uint64 { return r.atMost(MaxSeq, field) }

// seq takes the number of a write, 1 to MaxSeq.
func (r *reader) seq(field string) uint64 {
	v := r.head(field)
	if v == 0 {
		r.fail(field)
	}
	return v
}

// stamp takes a time, 0 to MaxStamp.
func (r *reader) stamp(field string) int64 {
	v := r.uint64(field)
	if v > uint64(MaxStamp) {
		r.fail(field)
		return 0
	}
	return int64(v)
}

// str takes a str. The result points into the input.
func (r *reader) str(field string) []byte {
	c := r.code(field)
	switch {
	case c&^0x1f == codeFixStr:
		return r.take(uint64(c&0x1f), field)
	case c >= codeStr8 && c <= codeStr32:
		return r.take(r.bigEndian(1<<(c-codeStr8), field), field)
	default:
		r.fail(field)
		return nil
	}
}

// key takes a str that is not empty.
func (r *reader) key(field string) []byte {
	k := r.str(field)
	if len(k) == 0 {
		r.fail(field)
	}
	return k
}

// bin takes a bin. The result points into the input, and is not nil unless the reader failed.
func (r *reader) bin(field string) []byte {
	c := r.code(field)
	if c < codeBin8 || c > codeBin32 {
		r.fail(field)
		return nil
	}
	return r.take(r.bigEndian(1<<(c-codeBin8), field), field)
}

// null takes a nil.
func (r *reader) null(field string) {
	if r.code(field) != codeNil {
		r.fail(field)
	}
}

// isNull reports whether a nil follows.
func (r *reader) isNull() bool { return r.i < len(r.b) && r.b[r.i] == codeNil }

// array takes the head of an array and returns the number of its elements, of which each takes at least
// minBytes: a count that cannot be true is refused before anyone makes room for it.
func (r *reader) array(minBytes uint64, field string) int {
	var n uint64
	switch c := r.code(field); {
	case c&^0x0f == codeFixArray:
		n = uint64(c & 0x0f)
	case c == codeArray16, c == codeArray32:
		n = r.bigEndian(2<<(c-codeArray16), field)
	default:
		r.fail(field)
		return 0
	}
	if n*minBytes > uint64(len(r.b)-r.i) { // n < 1<<32 and minBytes is a small constant
		r.fail(field)
		return 0
	}
	return int(n)
}

// arrayOf takes the head of an array that must have n elements.
func (r *reader) arrayOf(n int, field string) {
	if r.array(1, field) != n {
		r.fail(field)
	}
}

// grow makes room in a full slice for some of the elements that are left to come: for no more than have
// arrived, but for the first few, since a list may be shorter than it claims.
func grow[T any](s []T, left int) []T {
	const first = 64
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, min(left, max(len(s), first)))
}

// growArena is grow for a slice that many lists share, of which the present one has left elements to come.
// It always doubles: lists that were cut from the arena before it grew keep its old array alive.
func growArena[T any](s []T, left int) []T { return grow(s, max(left, len(s))) }
