package podshare

import (
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// slabBytes is what small frames are cut from, and a frame of more than a slabShare of it gets memory of its own.
const (
	slabBytes = 8 << 10
	slabShare = 8
)

// frameSlab makes data frames. It cuts small ones from one piece of memory, since to allocate each took a
// tenth of a Set. No byte is used twice: a transport may keep a frame for good, and with it at most slabBytes.
type frameSlab struct{ free []byte }

func (s *frameSlab) frame(h *wire.Header, rs *wire.Records) []byte {
	n := wire.DataBytes(h, rs)
	if n > slabBytes/slabShare {
		return wire.AppendData(make([]byte, 0, n), h, rs, true)
	}
	if n > len(s.free) {
		s.free = make([]byte, slabBytes)
	}
	frame := wire.AppendData(s.free[:0:n], h, rs, true)
	s.free = s.free[len(frame):]
	return slices.Clip(frame)
}
