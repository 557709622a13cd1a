package podshare

import (
	"math/rand/v2"
	"sync/atomic"
)

// readCounter estimates the number of reads by counting one in readSample, drawn at random: an exact
// counter costs more than it tells, and one that all readers share makes two readers slower than one.
type readCounter struct {
	sampled atomic.Uint64
}

const readSample = 64

func (c *readCounter) count() {
	if rand.Uint32()%readSample == 0 { //nolint:gosec // a sample
		c.sampled.Add(1)
	}
}

func (c *readCounter) total() uint64 { return c.sampled.Load() * readSample }
