package podshare

import (
	"fmt"
	"time"
)

// Limits bound what a store takes in, from its callers and from its peers. A zero field means its default,
// a negative one is an error of New. A caller that exceeds one gets an error; a peer's data that does is
// refused, counted and reported, and harms nobody else.
type Limits struct {
	KeyBytes   int // longest key; 4 KiB
	ValueBytes int // longest encoded value; 8 MiB
	FrameBytes int // longest frame; 16 MiB. A batch is one frame
	BatchKeys  int // keys of one SetMany or DeleteMany; 100,000
	Keys       int // keys that the store may hold before Set of a new one fails; unlimited
	Watchers   int // open watchers; 10,000
	Tombstones int // deleted keys remembered; 1,000,000. Above it the oldest are forgotten early
	Origins    int // runs of stores that are remembered; 65,536. Above it the oldest silent one is forgotten
	Pending    int // bytes of writes that wait to be sent; 64 MiB. Above it writes are left to repair
}

func (l Limits) withDefaults() Limits {
	d := l
	for _, f := range []struct {
		field *int
		value int
	}{
		{&d.KeyBytes, 4 << 10},
		{&d.ValueBytes, 8 << 20},
		{&d.FrameBytes, 16 << 20},
		{&d.BatchKeys, 100_000},
		{&d.Keys, int(^uint(0) >> 1)},
		{&d.Watchers, 10_000},
		{&d.Tombstones, 1_000_000},
		{&d.Origins, 1 << 16},
		{&d.Pending, 64 << 20},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return d
}

func (l Limits) validate() error {
	for name, v := range map[string]int{
		"KeyBytes": l.KeyBytes, "ValueBytes": l.ValueBytes, "FrameBytes": l.FrameBytes, "BatchKeys": l.BatchKeys,
		"Keys": l.Keys, "Watchers": l.Watchers, "Tombstones": l.Tombstones, "Origins": l.Origins, "Pending": l.Pending,
	} {
		if v < 0 {
			return fmt.Errorf("podshare: limit %s %d is negative", name, v)
		}
	}
	if l := l.withDefaults(); l.ValueBytes > l.FrameBytes-frameOverhead || l.KeyBytes > l.FrameBytes-frameOverhead-l.ValueBytes {
		return fmt.Errorf("podshare: limit FrameBytes %d has no room for the largest key and value", l.FrameBytes)
	}
	return nil
}

// frameOverhead bounds what a frame of one write has beside key and value.
const frameOverhead = 4 << 10

func (l Limits) checkKey(n int) error {
	switch {
	case n == 0:
		return ErrEmptyKey
	case n > l.KeyBytes:
		return fmt.Errorf("%w: key of %d bytes, limit %d", ErrTooLarge, n, l.KeyBytes)
	}
	return nil
}

func (l Limits) checkValue(encoded []byte) error {
	if len(encoded) > l.ValueBytes {
		return fmt.Errorf("%w: value of %d bytes, limit %d", ErrTooLarge, len(encoded), l.ValueBytes)
	}
	return nil
}

// Defaults of the options, and what the replica is given where no option exists.
const (
	defaultGCInterval       = 5 * time.Minute
	defaultMaxClockSkew     = time.Minute
	defaultSnapshotInterval = 200 * time.Millisecond
	defaultTombstoneTTL     = 24 * time.Hour
	defaultWatchBuffer      = 256
	defaultLease            = 10 * time.Second
)
