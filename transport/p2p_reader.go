package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	p2pReadFirst = 1 << 10  // bytes of the buffer of a connection that says little
	p2pReadMost  = 64 << 10 // of one that says much

	// p2pStep is by how much a large frame is believed before it has arrived.
	p2pStep = 256 << 10
)

// p2pReader takes frames out of a stream. It holds no more than has arrived, whatever length a frame claims.
type p2pReader struct {
	from io.Reader
	most int // bytes of the largest frame, without its length

	in    []byte // buffer
	n     int    // bytes in it: of one frame that is not whole
	full  bool   // it was, after the last read: more would have come
	batch []byte // whole frames, to be taken one by one; theirs to keep
}

func newP2PReader(from io.Reader, most int) *p2pReader {
	return &p2pReader{from: from, most: most, in: make([]byte, p2pReadFirst)}
}

// next returns the next frame. Its body is the caller's. The error is the stream's, io.EOF only between two frames, or
// wraps errP2PTooLarge or errP2PMalformed.
func (r *p2pReader) next() (p2pKind, []byte, error) {
	if len(r.batch) == 0 {
		if err := r.read(); err != nil {
			return 0, nil, err
		}
	}
	end := p2pLength + int(binary.BigEndian.Uint32(r.batch))
	kind, body := p2pKind(r.batch[p2pLength]), r.batch[p2pHeader:end:end]
	r.batch = r.batch[end:]
	return kind, body, nil
}

// read waits for at least one whole frame.
func (r *p2pReader) read() error {
	for {
		whole, need, err := r.split(r.in[:r.n])
		if whole > 0 {
			// One copy for all that came at once: a frame costs no allocation of its own. If what follows is wrong, that is
			// found again when these are taken.
			r.batch = bytes.Clone(r.in[:whole])
			r.n = copy(r.in, r.in[whole:r.n])
			if r.full {
				r.grow()
			}
			return nil
		}
		if err != nil {
			return err
		}
		if need > p2pReadMost {
			return r.readLarge(need)
		}
		if r.full {
			r.grow()
		}
		n, err := r.from.Read(r.in[r.n:])
		if r.n += n; n == 0 && err != nil {
			return r.broken(err)
		}
		r.full = r.n == len(r.in)
	}
}

// grow makes the buffer larger, if it may become.
func (r *p2pReader) grow() {
	if len(r.in) < p2pReadMost {
		r.in = append(make([]byte, 0, 2*len(r.in)), r.in...)[:2*len(r.in)]
	}
	r.full = false
}

// split returns how many bytes at the beginning of b are whole frames, and how many the one after these has: 0 if that is
// not known yet.
func (r *p2pReader) split(b []byte) (whole, need int, err error) {
	for len(b)-whole >= p2pLength {
		n := binary.BigEndian.Uint32(b[whole:])
		switch {
		case n == 0:
			return whole, 0, fmt.Errorf("%w: it is empty", errP2PMalformed)
		case uint64(n) > uint64(r.most):
			return whole, 0, fmt.Errorf("%w: %d bytes, at most %d are%s", errP2PTooLarge, n, r.most, p2pGuess(b[whole:]))
		}
		need = p2pLength + int(n)
		if need > len(b)-whole {
			return whole, need, nil
		}
		whole += need
	}
	return whole, 0, nil
}

// readLarge reads a frame that the buffer has no room for into memory of its own.
func (r *p2pReader) readLarge(need int) error {
	frame := append(make([]byte, 0, min(need, p2pStep)), r.in[:r.n]...)
	for len(frame) < need {
		if len(frame) == cap(frame) {
			frame = append(make([]byte, 0, min(need, 2*cap(frame))), frame...)
		}
		n, err := r.from.Read(frame[len(frame):cap(frame)])
		if frame = frame[:len(frame)+n]; n == 0 && err != nil {
			return r.broken(err)
		}
	}
	r.n, r.batch = 0, frame
	return nil
}

// broken is what the end of the stream means: within a frame it is not to be expected.
func (r *p2pReader) broken(err error) error {
	if err == io.EOF && r.n > 0 { //nolint:errorlint // a Reader's
		return io.ErrUnexpectedEOF
	}
	return err
}

// p2pGuess says what begins with b, if it is no peer.
func p2pGuess(b []byte) string {
	switch {
	case len(b) > 1 && b[0] == 0x16 && b[1] == 0x03:
		return " (the other side speaks TLS)"
	case len(b) > 1 && b[0] == 0x15 && b[1] == 0x03:
		return " (the other side wants TLS)"
	case bytes.HasPrefix(b, []byte("HTTP")):
		return " (the other side is an HTTP server)"
	case len(b) > 3 && b[0] >= 'A' && b[0] <= 'Z' && b[1] >= 'A' && b[1] <= 'Z':
		return " (the other side may be an HTTP client)"
	}
	return ""
}
