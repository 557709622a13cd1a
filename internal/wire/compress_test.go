package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// unsnappy decodes a Snappy block as its specification says and no further: what S2 adds to it is an error.
// https://github.com/google/snappy/blob/main/format_description.txt
func unsnappy(block []byte) ([]byte, error) {
	var (
		want, n = binary.Uvarint(block)
		out     []byte
		bad     = errors.New("no snappy block")
	)
	if n <= 0 {
		return nil, bad
	}
	little := func(bytes int) (v int) {
		for i := range bytes {
			v |= int(block[n+i]) << (8 * i)
		}
		n += bytes
		return v
	}
	for n < len(block) {
		tag := int(block[n])
		n++
		var length, offset int
		switch tag & 3 {
		case 0:
			if length = tag>>2 + 1; length > 60 {
				length = little(length-60) + 1
			}
			out = append(out, block[n:n+length]...)
			n += length
			continue
		case 1:
			length, offset = tag>>2&7+4, tag>>5<<8|little(1)
		case 2:
			length, offset = tag>>2+1, little(2)
		case 3:
			length, offset = tag>>2+1, little(4)
		}
		if offset == 0 || offset > len(out) { // 0 is S2's repeat
			return nil, bad
		}
		for range length {
			out = append(out, out[len(out)-offset])
		}
	}
	if uint64(len(out)) != want {
		return nil, bad
	}
	return out, nil
}

// dataOf returns a data frame of one value, plain and compressed if that pays.
func dataOf(t *testing.T, value []byte) (plain, packed []byte) {
	t.Helper()
	h := header()
	m := &wire.Data{RecordList: wire.RecordList{Records: []wire.Record{{Key: []byte("k"), Seq: 1, Value: value}}}}
	return appendMessage(t, nil, &h, m, false), appendMessage(t, nil, &h, m, true)
}

func TestACompressedFrameReadsLikeAPlainOne(t *testing.T) {
	for name, value := range map[string][]byte{
		"zeros":     make([]byte, 1<<20),
		"text":      bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog; "), 1000),
		"one block": bytes.Repeat([]byte("abcdefgh"), 512),
		"ext 16":    make([]byte, 4<<10),
	} {
		t.Run(name, func(t *testing.T) {
			plain, packed := dataOf(t, value)
			require.Less(t, len(packed), len(plain))
			wantHeader, want, err := parse(t, plain, wire.Limits{})
			require.NoError(t, err)
			gotHeader, got, err := parse(t, packed, wire.Limits{})
			require.NoError(t, err)
			require.Equal(t, wantHeader, gotHeader)
			requireSame(t, want, got)

			_, _, ok := wire.Sender(packed)
			require.False(t, ok)

			// ext 8, 16 or 32: c7, c8 or c9, then 1, 2 or 4 bytes of length, then the type.
			block := packed[5+1+1<<(packed[5]-0xc7)+1 : len(packed)-5]
			body, err := unsnappy(block)
			require.NoError(t, err, "any language's Snappy must read it")
			require.Equal(t, plain[5:len(plain)-5], body)
		})
	}
}

func TestCompressionIsUsedWhereItPays(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}

	plain, packed := dataOf(t, random)
	require.Equal(t, plain, packed, "random bytes")
	plain, packed = dataOf(t, slices.Concat(random, make([]byte, len(random)/10)))
	require.Equal(t, plain, packed, "1/11 smaller")
	plain, packed = dataOf(t, slices.Concat(random, make([]byte, len(random)/5)))
	require.Less(t, len(packed), len(plain), "1/6 smaller")

	_, overhead := dataOf(t, nil)
	rest := 4<<10 - (len(overhead) - 10) - 1 // of a body of 4 KiB; a bin 16 takes one byte more than a bin 8
	plain, packed = dataOf(t, make([]byte, rest-1))
	require.Equal(t, plain, packed, "a body of 4 KiB less one")
	plain, packed = dataOf(t, make([]byte, rest))
	require.Less(t, len(packed), len(plain), "a body of 4 KiB")
}

func TestACompressedFrameIsHeldToTheLimitOfAPlainOne(t *testing.T) {
	plain, packed := dataOf(t, make([]byte, 1<<20))
	body := len(plain) - 10
	_, _, err := wire.Open(packed, wire.Limits{MaxFrame: body})
	require.NoError(t, err)
	_, _, err = wire.Open(packed, wire.Limits{MaxFrame: body - 1})
	require.ErrorIs(t, err, wire.ErrTooLarge)
}

func TestEveryTruncationOfACompressedBodyIsRefused(t *testing.T) {
	_, packed := dataOf(t, make([]byte, 4<<10))
	for n := 11; n < len(packed); n++ {
		_, _, err := parse(t, seal(slices.Clone(packed[:n])), wire.Limits{})
		require.Equal(t, &wire.FormatError{Field: "compressed body"}, err, "cut to %d of %d bytes", n, len(packed))
	}
}

func TestABodyThatClaimsToBeHugeCostsNothing(t *testing.T) {
	for _, claim := range []uint64{100_000, 16 << 20, 1 << 31, 1<<32 - 1, 1 << 63} {
		block := append(binary.AppendUvarint(nil, claim), make([]byte, 100)...)
		frame := append([]byte("\x94\xa2ps\x01"), 0xc7, byte(len(block)), 1)
		frame = seal(slices.Concat(frame, block, make([]byte, 5)))
		bytes := allocated(func() {
			_, _, err := wire.Open(frame, wire.Limits{MaxFrame: 64 << 20})
			require.Error(t, err)
		})
		require.Less(t, bytes, uint64(16<<10), "claim of %d", claim)
	}
}

func TestOtherExtensionsAreRefused(t *testing.T) {
	_, packed := dataOf(t, make([]byte, 4<<10))
	require.EqualValues(t, 0xc8, packed[5]) // ext 16
	packed[8] = 2                           // the type
	_, _, err := wire.Open(seal(packed), wire.Limits{})
	require.Equal(t, &wire.FormatError{Field: "compressed body"}, err)

	// A fixext 16 is an extension like the others; this block is a literal of 14 zeros.
	block := append([]byte{14, 13 << 2}, make([]byte, 14)...)
	frame := seal(slices.Concat([]byte("\x94\xa2ps\x01\xd8\x01"), block, make([]byte, 5)))
	_, _, err = wire.Open(frame, wire.Limits{})
	require.Equal(t, &wire.FormatError{Field: "body"}, err, "decompressed, but no array")
}

func BenchmarkCompress(b *testing.B) {
	h := header()
	records := benchRecords(1000)
	for i := range records {
		records[i].Value = fmt.Appendf(nil, `{"service":"checkout","weight":%d,"healthy":true}`, i)
	}
	var rs wire.Records
	frame := appendRecords(nil, &h, &rs, records)
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		frame = wire.AppendData(frame[:0], &h, &rs, true)
	}
}
