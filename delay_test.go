package podshare

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Buckets[i] counts delays below 1 µs << i, and not below the one before.
func TestDelayFallsIntoItsBucket(t *testing.T) {
	for _, c := range []struct {
		ns     int64
		bucket int
	}{
		{math.MinInt64, 0},
		{-1, 0},
		{0, 0},
		{999, 0},
		{1000, 1},
		{1999, 1},
		{2000, 2},
		{int64(time.Microsecond<<23) - 1, 23},
		{int64(time.Microsecond << 23), 24},
		{math.MaxInt64, 24},
	} {
		var d Delays
		d.add(c.ns)
		require.EqualValues(t, 1, d.Buckets[c.bucket], "%d ns", c.ns)
		require.EqualValues(t, 1, d.Count)
		require.Equal(t, time.Duration(max(c.ns, 0)), d.Sum)
	}
}

// A clock that is off by decades does not make the sum overflow.
func TestSumOfDelaysDoesNotOverflow(t *testing.T) {
	var d Delays
	for range 10 {
		d.add(50 * 365 * 24 * int64(time.Hour))
		require.Positive(t, d.Sum)
	}
}

func BenchmarkDelaysAdd(b *testing.B) {
	var d Delays
	ns := int64(1)
	for b.Loop() {
		d.add(ns)
		ns = (ns * 5) & (1<<34 - 1)
	}
}
