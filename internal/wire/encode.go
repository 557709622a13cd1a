package wire

import "encoding/binary"

// The msgpack codes that frames use (https://github.com/msgpack/msgpack/blob/master/spec.md).
const (
	codeFixArray = 0x90 // | count, up to 15
	codeFixStr   = 0xa0 // | length, up to 31
	codeNil      = 0xc0
	codeBin8     = 0xc4
	codeBin16    = 0xc5
	codeBin32    = 0xc6
	codeExt8     = 0xc7
	codeExt16    = 0xc8
	codeExt32    = 0xc9
	codeUint8    = 0xcc
	codeUint16   = 0xcd
	codeUint32   = 0xce
	codeUint64   = 0xcf
	codeInt8     = 0xd0
	codeInt16    = 0xd1
	codeInt32    = 0xd2
	codeInt64    = 0xd3
	codeFixExt1  = 0xd4
	codeFixExt16 = 0xd8
	codeStr8     = 0xd9
	codeStr16    = 0xda
	codeStr32    = 0xdb
	codeArray16  = 0xdc
	codeArray32  = 0xdd
)

// appendUint appends v in the shortest form, for numbers that are mostly small.
func appendUint(b []byte, v uint64) []byte {
	if v < 1<<7 {
		return append(b, byte(v))
	}
	return appendLongUint(b, v)
}

func appendLongUint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<8:
		return append(b, codeUint8, byte(v))
	case v < 1<<16:
		return append(b, codeUint16, byte(v>>8), byte(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, codeUint32), uint32(v))
	default:
		return appendUint64(b, v)
	}
}

// uint64Bytes is what appendUint64 appends.
const uint64Bytes = 9

// appendUint64 appends v in nine bytes, for numbers that need them anyway: times, boots, hashes.
func appendUint64(b []byte, v uint64) []byte {
	return append(b, codeUint64,
		byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendStr(b, s []byte) []byte {
	switch n := len(s); {
	case n < 1<<5:
		b = append(b, codeFixStr|byte(n))
	case n < 1<<8:
		b = append(b, codeStr8, byte(n))
	case n < 1<<16:
		b = append(b, codeStr16, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, codeStr32), uint32(n))
	}
	return append(b, s...)
}

func appendBin(b, s []byte) []byte {
	switch n := len(s); {
	case n < 1<<8:
		b = append(b, codeBin8, byte(n))
	case n < 1<<16:
		b = append(b, codeBin16, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, codeBin32), uint32(n))
	}
	return append(b, s...)
}

// appendArray appends the head of an array of n elements.
func appendArray(b []byte, n int) []byte {
	switch {
	case n < 1<<4:
		return append(b, codeFixArray|byte(n))
	case n < 1<<16:
		return append(b, codeArray16, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, codeArray32), uint32(n))
	}
}

// arrayHeadLen is the number of bytes that appendArray appends.
func arrayHeadLen(n int) int {
	switch {
	case n < 1<<4:
		return 1
	case n < 1<<16:
		return 3
	default:
		return 5
	}
}

// appendExt appends the head of an extension of n bytes.
func appendExt(b []byte, n int, typ byte) []byte {
	switch {
	case n < 1<<8:
		return append(b, codeExt8, byte(n), typ)
	case n < 1<<16:
		return append(b, codeExt16, byte(n>>8), byte(n), typ)
	default:
		return append(binary.BigEndian.AppendUint32(append(b, codeExt32), uint32(n)), typ)
	}
}

// bit returns mask if set is true.
func bit(set bool, mask uint64) uint64 {
	if set {
		return mask
	}
	return 0
}
