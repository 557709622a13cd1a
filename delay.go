package podshare

import (
	"math"
	"math/bits"
	"time"
)

// Delays is a histogram of how long frames of writes took from pod to pod. To keep it costs a received frame some
// nanoseconds, and a write nothing.
type Delays struct {
	Count uint64
	Sum   time.Duration // at most what a Duration holds: clocks may be off by decades
	// Buckets[i] counts delays below 1 µs << i, and not below the one before; the last has no upper bound.
	Buckets [delayBuckets]uint64
}

const delayBuckets = 25

// Bound returns the upper bound of a bucket, 0 for the last.
func (*Delays) Bound(bucket int) time.Duration {
	if bucket < 0 || bucket >= delayBuckets-1 {
		return 0
	}
	return time.Microsecond << bucket
}

// Quantile returns the upper bound of the bucket that holds a quantile, 0.5 for the median; 0 if nothing was counted.
// For the last bucket, which has none, it returns its lower bound.
func (d *Delays) Quantile(q float64) time.Duration {
	rank := uint64(max(q, 0) * float64(d.Count))
	var below uint64
	for i, n := range d.Buckets {
		if below += n; below > rank || below == d.Count && n > 0 {
			return time.Microsecond << min(i, delayBuckets-2)
		}
	}
	return 0
}

// add counts a delay in ns. One that is negative, because clocks differ, counts as none.
func (d *Delays) add(ns int64) {
	ns = max(ns, 0)
	d.Count++
	d.Sum += min(time.Duration(ns), math.MaxInt64-d.Sum)
	d.Buckets[min(bits.Len64(uint64(ns)/1000), delayBuckets-1)]++
}
