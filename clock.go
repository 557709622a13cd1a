package podshare

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// instant is one reading of both clocks: wall in ns since the Unix epoch, mono in ns since some start,
// never stepped. Stamps and deadlines come from wall, everything that waits comes from mono.
type instant struct {
	wall, mono int64
}

// clock gives the stamps of local writes: hybrid logical time (Kulkarni et al. 2014), in ns.
//
// Invariant: last never follows a stamp further ahead of now than maxSkew, nor one that a broken clock
// forced upon a single key, so that no pod drags another away from real time.
type clock struct {
	last     int64
	maxSkew  int64        // ns
	offset   atomic.Int64 // ns, added to this pod's wall clock; see correct. Readers use it without a lock
	gullible bool         // ruleObserveWithinSkew is off
}

// now is the time that stamps, deadlines and ages use.
func (c *clock) now(at instant) int64 { return at.wall + c.offset.Load() }

// correct sets the offset from those of the live peers (peer's clock minus ours, ns). A clock that agrees
// with the lower median within the skew bound is believed; one that does not is overruled by it.
func (c *clock) correct(offsets []int64) (overruled bool) {
	var offset int64
	if len(offsets) > 0 {
		slices.Sort(offsets)
		if median := offsets[(len(offsets)-1)/2]; median > c.maxSkew || median < -c.maxSkew {
			offset = median
		}
	}
	c.offset.Store(offset)
	return offset != 0
}

// stamp returns the stamp of a local write that must follow all of after (each the stamp of something the
// write replaces, or the collection floor). It fails when that lies beyond what peers accept.
func (c *clock) stamp(at instant, after int64) (int64, error) {
	now := c.now(at)
	if c.last > now+c.maxSkew && !c.gullible {
		c.last = 0 // left over from a clock that was set back
	}
	own := max(now, c.last+1)
	s := max(own, after+1)
	if s < 0 || s > wire.MaxStamp {
		return 0, &StampError{Time: time.Unix(0, s)}
	}
	c.last = own
	return s, nil
}

// observe takes note of a received stamp.
func (c *clock) observe(at instant, stamp int64) {
	if stamp > c.last && (stamp <= c.now(at)+c.maxSkew || c.gullible) {
		c.last = stamp
	}
}
