package podshare

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxMsgpackDepth bounds how deep arrays and maps may be nested: the decoder recurses, and a stack that
// overflows ends the program.
const maxMsgpackDepth = 1000

var (
	errMsgpackShort    = errors.New("podshare: msgpack value is cut short")
	errMsgpackTrailing = errors.New("podshare: data after the msgpack value")
	errMsgpackDepth    = fmt.Errorf("podshare: msgpack value is nested more than %d deep", maxMsgpackDepth)
	errMsgpackCode     = errors.New("podshare: 0xc1, which msgpack does not use")
)

// checkMsgpack reports whether b is one complete msgpack value. The decoder trusts the lengths that it reads, up to
// allocating what they promise; after this check they are true.
func checkMsgpack(b []byte) error {
	open := append(make([]uint64, 0, 32), 1) // values still to come on each level
	for at := 0; ; {
		for open[len(open)-1] == 0 {
			if len(open) == 1 {
				if at < len(b) {
					return errMsgpackTrailing
				}
				return nil
			}
			open = open[:len(open)-1]
		}
		open[len(open)-1]--
		if at >= len(b) {
			return errMsgpackShort
		}
		length, items, err := msgpackHeader(b[at:])
		if err != nil {
			return err
		}
		rest := uint64(len(b) - at)
		if length > rest || items > rest-length { // an item is a byte at least
			return errMsgpackShort
		}
		at += int(length)
		if items > 0 {
			if len(open) > maxMsgpackDepth {
				return errMsgpackDepth
			}
			open = append(open, items)
		}
	}
}

// msgpackHeader returns how many bytes the value at the start of b takes, without the items in it, and how many values
// those are. b is not empty.
func msgpackHeader(b []byte) (length, items uint64, err error) {
	c := b[0]
	switch {
	case c <= 0x7f, c >= 0xe0: // fixint
		return 1, 0, nil
	case c <= 0x8f: // fixmap
		return 1, 2 * uint64(c&0x0f), nil
	case c <= 0x9f: // fixarray
		return 1, uint64(c & 0x0f), nil
	case c <= 0xbf: // fixstr
		return 1 + uint64(c&0x1f), 0, nil
	}
	switch c {
	case 0xc0, 0xc2, 0xc3: // nil, bool
		return 1, 0, nil
	case 0xcc, 0xd0: // 8 bits
		return 2, 0, nil
	case 0xcd, 0xd1: // 16 bits
		return 3, 0, nil
	case 0xca, 0xce, 0xd2: // 32 bits
		return 5, 0, nil
	case 0xcb, 0xcf, 0xd3: // 64 bits
		return 9, 0, nil
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: // fixext: code, type, 1 2 4 8 16 bytes
		return 2 + 1<<(c-0xd4), 0, nil
	case 0xc1:
		return 0, 0, errMsgpackCode
	}
	n, size, err := msgpackLength(b)
	switch {
	case err != nil:
		return 0, 0, err
	case c == 0xdc || c == 0xdd: // array
		return size, n, nil
	case c == 0xde || c == 0xdf: // map
		return size, 2 * n, nil
	case c >= 0xc7 && c <= 0xc9: // ext: its type is a byte more
		return size + 1 + n, 0, nil
	default: // bin, str
		return size + n, 0, nil
	}
}

// msgpackLength reads the length that follows the code of bin, ext, str, array or map, and returns the size of
// code and length too.
func msgpackLength(b []byte) (n, size uint64, err error) {
	width := 0
	switch b[0] {
	case 0xc4, 0xc7, 0xd9:
		width = 1
	case 0xc5, 0xc8, 0xda, 0xdc, 0xde:
		width = 2
	default: // 0xc6, 0xc9, 0xdb, 0xdd, 0xdf
		width = 4
	}
	if len(b) <= width {
		return 0, 0, errMsgpackShort
	}
	var wide [8]byte
	copy(wide[8-width:], b[1:])
	return binary.BigEndian.Uint64(wide[:]), 1 + uint64(width), nil
}
