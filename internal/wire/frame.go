package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// Version is the newest version of the format that this package reads, and the one that it writes.
const Version uint8 = 1

// Numbers that no frame exceeds. All sums of two of them fit into the unsigned type.
const (
	MaxStamp int64  = 7258118400e9 // 2200-01-01T00:00:00Z, in ns since the Unix epoch
	MaxSeq   uint64 = 1<<63 - 1    // for sequence numbers, heads and marks
)

// A frame:
//
//	94         array(4)
//	a2 70 73   str "ps"
//	01         version
//	…          body: an array (see Header), or that array compressed (see compressBody)
//	ce …       uint 32: CRC-32C of all bytes before the ce
const (
	magic        = "\x94\xa2ps"
	prefixBytes  = len(magic) + 1
	trailerBytes = 5
)

// DefaultMaxFrame is the limit of a zero [Limits], in bytes.
const DefaultMaxFrame = 16 << 20

// Limits bound what Open accepts.
type Limits struct {
	MaxFrame int // bytes of a frame, and of its body once decompressed; DefaultMaxFrame if not positive
}

func (l Limits) maxFrame() int {
	if l.MaxFrame <= 0 {
		return DefaultMaxFrame
	}
	return l.MaxFrame
}

//nolint:gochecknoglobals // a constant that Go cannot express
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// begin appends a frame up to the fields of its kind. A frame that was begun at start = len(b) must be ended
// by seal(b, start, …).
func begin(b []byte, h *Header, kind Kind) []byte {
	b = append(append(b, magic...), Version)
	return h.append(b, kind)
}

// seal ends the frame b[start:].
func seal(b []byte, start int, compress bool) []byte {
	if compress {
		b = compressBody(b, start+prefixBytes)
	}
	sum := crc32.Checksum(b[start:], castagnoli)
	return append(b, codeUint32, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}

// Open checks the envelope of a frame and returns its header and its body, the fields of h.Kind, which must be
// given to the Parse of that kind. Both point into b, or into new memory if the frame was compressed. The
// error is ErrCorrupt, ErrVersion, ErrTooLarge or a *FormatError.
func Open(b []byte, lim Limits) (h Header, body []byte, err error) {
	if len(b) > lim.maxFrame() {
		return Header{}, nil, ErrTooLarge
	}
	end := len(b) - trailerBytes
	if end <= prefixBytes || string(b[:len(magic)]) != magic {
		return Header{}, nil, ErrCorrupt
	}
	version := b[len(magic)]
	if version > Version && version < 1<<7 {
		return Header{}, nil, ErrVersion // before the checksum, which it may compute differently
	}
	if b[end] != codeUint32 || binary.BigEndian.Uint32(b[end+1:]) != crc32.Checksum(b[:end], castagnoli) {
		return Header{}, nil, ErrCorrupt
	}
	if version != Version {
		return Header{}, nil, &FormatError{Field: "version"}
	}

	body = b[prefixBytes:end]
	if isExt(body[0]) {
		if body, err = decompressBody(body, lim.maxFrame()); err != nil {
			return Header{}, nil, err
		}
	}
	r := reader{b: body}
	h.parse(&r)
	if !r.ok() {
		return Header{}, nil, r.err()
	}
	return h, body[r.i:], nil
}

// Sender returns the origin of a frame at a glance, so that a pod can drop the echo of its own frame before
// it pays for the checksum. It is not ok if the frame is compressed or malformed; if it is ok the rest may be
// corrupt all the same. The node points into b.
func Sender(b []byte) (node []byte, boot uint64, ok bool) {
	if len(b) < prefixBytes || string(b[:len(magic)]) != magic || b[len(magic)] != Version {
		return nil, 0, false
	}
	r := reader{b: b, i: prefixBytes}
	var h Header
	h.parseSender(&r)
	return h.Node, h.Boot, r.ok()
}
