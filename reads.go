package podshare

import "sync/atomic"

// readCounter estimates the number of reads. Counting each would cost Get a third of its time, and one
// counter shared by all readers makes two slower than one; so only reads of keys in one of readClasses
// classes are counted, times their number. The classes are those of a hash that Get computes anyway, and
// take turns: with every write, every frame and every tick. Over as many turns each key is counted once.
type readCounter struct {
	turn    atomic.Uint64
	_       [56]byte // readers load turn; those that count must not take its cache line away
	counted atomic.Uint64
}

const readClasses = 16

func (c *readCounter) count(hash uint64) {
	if (hash^c.turn.Load())%readClasses == 0 {
		c.counted.Add(1)
	}
}

// next gives the next class its turn. One goroutine at a time may call it.
func (c *readCounter) next() { c.turn.Store(c.turn.Load() + 1) }

func (c *readCounter) total() uint64 { return c.counted.Load() * readClasses }
