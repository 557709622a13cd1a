package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What two pods say to each other over a connection is a series of frames: the length of what follows (4 bytes,
// big-endian), one byte that says what it is, and a body. Numbers in bodies are uvarints; a text is preceded by its
// length, or ends with the body. docs/p2p.md has the layout of each.

// p2pKind is the first byte of a frame.
type p2pKind byte

const (
	p2pHello       p2pKind = 1 + iota // who I am; the first frame of each side
	p2pUse                            // number: this is our connection, unless one with a higher number is
	p2pSubscribe                      // id, topic: send me its frames under this id
	p2pUnsubscribe                    // id
	p2pData                           // id, what was published
	p2pPing                           // I am here
	p2pFetch                          // the wish for a part of a snapshot
	p2pPiece                          // the answer to it
	p2pBye                            // reason: nothing comes after this
)

const (
	p2pLength = 4             // bytes of a frame's length
	p2pHeader = p2pLength + 1 // and of its kind

	// p2pHelloMost is the largest hello, and so what a stranger can make us hold.
	p2pHelloMost = 2 << 10

	// p2pTopicMost is the largest topic in bytes, p2pTopicsMost how many of them a transport subscribes to at a time, and
	// p2pTopicBytes how large all of these are together.
	p2pTopicMost  = 8 << 10
	p2pTopicsMost = 1 << 14
	p2pTopicBytes = 4 << 20

	// p2pOverhead bounds what a frame has besides what was published, and besides a piece of a snapshot.
	p2pOverhead = 64
)

var (
	errP2PTooLarge  = errors.New("a frame is larger than allowed")
	errP2PMalformed = errors.New("a frame is malformed")
)

// appendP2PFrame appends a frame with the given body.
func appendP2PFrame(b []byte, kind p2pKind, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(body)))
	b = append(b, byte(kind))
	return append(b, body...)
}

// appendP2PData appends the beginning of a data frame, which n bytes of what was published follow.
func appendP2PData(b []byte, id uint64, n int) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, byte(p2pData))
	b = binary.AppendUvarint(b, id)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-p2pLength+n))
	return b
}

// p2pFields takes the fields of a body one by one. After one that is not there all are empty, and ok is false.
type p2pFields struct {
	b   []byte
	bad bool
}

func (f *p2pFields) number() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[n:]
	return v
}

// bytes takes n bytes.
func (f *p2pFields) bytes(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.b, f.bad = nil, true
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

// text takes a text that is preceded by its length.
func (f *p2pFields) text() string { return string(f.bytes(f.number())) }

// rest takes what is left.
func (f *p2pFields) rest() []byte { return f.bytes(uint64(len(f.b))) }

// err says whether a field was missing.
func (f *p2pFields) err(kind p2pKind) error {
	if f.bad {
		return fmt.Errorf("%w: kind %d", errP2PMalformed, kind)
	}
	return nil
}

func appendP2PText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
