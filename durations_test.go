package podshare

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// Whatever is added to the longest durations overflows nothing: any time of a clock, and the windows that a snapshot waits.
func TestLongestDurationsAddUp(t *testing.T) {
	const never = time.Duration(math.MaxInt64)
	c, err := newConfig([]Option[string]{
		WithGCInterval[string](never), WithMaxClockSkew[string](never), WithSnapshotInterval[string](never),
		WithTombstoneTTL[string](never),
	})
	require.NoError(t, err)
	for name, d := range map[string]time.Duration{
		"GC interval": c.gcInterval, "clock skew": c.maxClockSkew, "tombstone TTL": c.tombstoneTTL,
	} {
		require.Positive(t, wire.MaxStamp+int64(d), name)
	}
	require.Less(t, c.snapshotInterval, never/(2*lookLater), "snapshot interval")
}
