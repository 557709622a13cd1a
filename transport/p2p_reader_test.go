package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// FuzzReadFrame feeds what strangers may send: however it is cut, the reader returns the same frames, never holds more
// than arrived, and no body that follows makes a parser fail in another way than with an error.
func FuzzReadFrame(f *testing.F) {
	hello := p2pGreeting{oldest: 1, newest: 1, node: "pod-a", advertise: ":7946", proofs: make([][p2pProofBytes]byte, 2)}
	wish := p2pWish{ask: 1, offset: 300, most: p2pPieceBytes, topic: "flags"}
	piece := p2pPieceOf{ask: 1, offset: 300, p2pSnapshot: p2pSnapshot{version: 1 << 60, size: 5, sum: 7, data: []byte("bytes")}}
	talk := appendP2PFrame(nil, p2pHello, hello.bytes())
	talk = appendP2PFrame(talk, p2pUse, nil)
	talk = append(talk, subscribeFrame(1, "flags")...)
	talk = append(append(appendP2PData(talk, 1, 5), "frame"...), unsubscribeFrame(1)...)
	talk = append(append(talk, wish.frame()...), piece.frame()...)
	talk = appendP2PFrame(talk, p2pBye, []byte(p2pClosing))
	f.Add(talk, uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), uint8(9))
	f.Add([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}, uint8(3))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 5}, uint8(2))
	f.Add([]byte{0, 0, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		const most = 1 << 20
		whole := newP2PReader(bytes.NewReader(stream), most)
		pieces := newP2PReader(&cutReader{stream, int(cut) + 1}, most)
		var taken []byte
		for {
			kind, body, err := whole.next()
			kind2, body2, err2 := pieces.next()
			require.Equal(t, kind, kind2)
			require.Equal(t, body, body2)
			require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
			if err != nil {
				break
			}
			taken = appendP2PFrame(taken, kind, body)
			parseAny(t, kind, body)
		}
		require.True(t, bytes.HasPrefix(stream, taken), "the frames are those of the stream")
	})
}

// parseAny parses a body, which must not panic; what was parsed reads the same when it is written again.
func parseAny(t *testing.T, kind p2pKind, body []byte) {
	t.Helper()
	switch kind {
	case p2pHello:
		if g, err := parseP2PGreeting(body); err == nil {
			again, err := parseP2PGreeting(g.bytes())
			require.NoError(t, err)
			require.Equal(t, g, again)
		}
	case p2pFetch:
		if w, err := parseP2PWish(body); err == nil {
			again, err := parseP2PWish(w.frame()[p2pHeader:])
			require.NoError(t, err)
			require.Equal(t, w, again)
		}
	case p2pPiece:
		if p, err := parseP2PPiece(body); err == nil {
			again, err := parseP2PPiece(p.frame()[p2pHeader:])
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
	case p2pUse, p2pSubscribe, p2pUnsubscribe, p2pData, p2pPing, p2pBye:
	}
}

// cutReader returns at most n bytes at a time.
type cutReader struct {
	b []byte
	n int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b[:min(r.n, len(r.b))])
	r.b = r.b[n:]
	return n, nil
}

func TestP2PReaderReturnsFramesOfAnySize(t *testing.T) {
	var stream []byte
	var bodies [][]byte
	for _, n := range []int{0, 1, 100, p2pReadFirst - p2pHeader, p2pReadFirst, p2pReadMost - p2pHeader, p2pReadMost, p2pStep, 3*p2pStep + 1, 7} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		bodies = append(bodies, body)
		stream = appendP2PFrame(stream, p2pData, body)
	}
	for name, from := range map[string]io.Reader{
		"at once":            bytes.NewReader(stream),
		"byte by byte":       iotest.OneByteReader(bytes.NewReader(stream)),
		"with the end known": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			r := newP2PReader(from, 1<<20)
			for _, body := range bodies {
				kind, got, err := r.next()
				require.NoError(t, err)
				require.Equal(t, p2pData, kind)
				require.Equal(t, body, got)
			}
			_, _, err := r.next()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestP2PReaderKnowsACutFrame(t *testing.T) {
	small := appendP2PFrame(nil, p2pData, []byte("frame"))
	large := appendP2PFrame(nil, p2pData, make([]byte, 2*p2pStep))
	for _, cut := range [][]byte{small[:2], small[:p2pLength], small[:len(small)-1], large[:p2pReadMost], large[:len(large)-1]} {
		_, _, err := newP2PReader(bytes.NewReader(cut), 1<<20).next()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", len(cut))
	}
}

func TestP2PReaderBelievesNoLength(t *testing.T) {
	const claimed = 1 << 30
	lie := append(binary.BigEndian.AppendUint32(nil, claimed), byte(p2pData))
	r := newP2PReader(io.MultiReader(bytes.NewReader(lie), bytes.NewReader(make([]byte, 1<<20))), claimed)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := r.next()
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "a frame that claims a gibibyte and brings a mebibyte")
}

func TestP2PReaderSaysWhoTalks(t *testing.T) {
	for said, want := range map[string]string{
		"\x16\x03\x01\x02\x00\x01":  "speaks TLS",
		"\x15\x03\x01\x00\x02\x02F": "wants TLS",
		"GET / HTTP/1.1\r\n":        "HTTP client",
		"HTTP/1.1 400 Bad Request":  "HTTP server",
		"\xff\xff\xff\xff":          "at most 2048",
	} {
		_, _, err := newP2PReader(strings.NewReader(said), p2pHelloMost).next()
		require.ErrorIs(t, err, errP2PTooLarge)
		require.ErrorContains(t, err, want)
	}
}
