package wire

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/klauspost/compress/s2"
)

const (
	extSnappy = 1 // the msgpack extension type of a compressed body

	// minCompressBytes is the smallest body worth compressing: a smaller one saves less than a packet.
	minCompressBytes = 4 << 10

	// maxScratchBytes is the largest scratch buffer that is kept for the next frame.
	maxScratchBytes = 4 << 20
)

// scratch holds *[]byte, the output of the compressor on its way into a frame.
//
//nolint:gochecknoglobals // a pool is shared by nature
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// compressBody replaces the body b[start:] by its compressed form if that is at least 1/8 smaller.
//
//	ext 8/16/32 (type 1)  Snappy block
//
// Snappy and not S2, although the encoder knows both, because every language can read it.
func compressBody(b []byte, start int) []byte {
	body := b[start:]
	limit := s2.MaxEncodedLen(len(body))
	if len(body) < minCompressBytes || limit < 0 || uint64(limit) > math.MaxUint32 {
		return b
	}
	p := scratch.Get().(*[]byte)
	if cap(*p) < limit {
		*p = make([]byte, limit)
	}
	block := s2.EncodeSnappy((*p)[:limit], body)
	if len(block) <= len(body)-len(body)/8 {
		b = append(appendExt(b[:start], len(block), extSnappy), block...)
	}
	if cap(*p) <= maxScratchBytes {
		scratch.Put(p)
	}
	return b
}

// isExt reports whether c is the code of an extension.
func isExt(c byte) bool {
	return c >= codeExt8 && c <= codeExt32 || c >= codeFixExt1 && c <= codeFixExt16
}

// decompressBody returns the array in a compressed body, in new memory.
func decompressBody(b []byte, maxBytes int) ([]byte, error) {
	const field = "compressed body"
	r := reader{b: b}
	var n uint64
	if c := r.code(field); c >= codeFixExt1 {
		n = 1 << (c - codeFixExt1)
	} else {
		n = r.bigEndian(1<<(c-codeExt8), field)
	}
	if r.code(field) != extSnappy {
		r.fail(field)
	}
	block := r.take(n, field)
	if err := r.end(); err != nil {
		return nil, err
	}

	// The first number of a block is the length it claims to decompress to.
	claimed, _ := binary.Uvarint(block)
	switch {
	case claimed > uint64(maxBytes):
		return nil, ErrTooLarge
	case claimed > uint64(len(block))*64/3: // Snappy's densest element makes 64 bytes of 3
		return nil, &FormatError{Field: field}
	}
	plain, err := s2.Decode(nil, block)
	if err != nil {
		return nil, &FormatError{Field: field}
	}
	return plain, nil
}
