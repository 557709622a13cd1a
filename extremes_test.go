package podshare_test

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// The longest durations mean "never", and overflow nothing.
func TestLongestDurationsMeanNever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const never = time.Duration(math.MaxInt64)
		tr := newMemory(t)
		a := open(t, tr, "a", podshare.WithTombstoneTTL[string](never), podshare.WithGCInterval[string](time.Minute))
		b := open(t, tr, "b", podshare.WithSnapshotInterval[string](never), podshare.WithGCInterval[string](never))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Delete(t.Context(), "k"))
		require.NoError(t, a.Set(t.Context(), "l", "v"))
		pass(time.Hour) // would take hours of real time if a timer ran all the time
		requireHolds(t, b, "l", "v")
		require.Equal(t, 1, a.Stats().Tombstones, "it is never old enough")
	})
}

func TestWatchBufferBeyondReasonIsRefused(t *testing.T) {
	_, err := podshare.New(t.Context(), topic, newMemory(t), podshare.WithWatchBuffer[string](math.MaxInt))
	require.ErrorContains(t, err, "watch buffer")
}

// A Merger may change what it is given: that is never the caller's own value, and each write is joined once.
func TestMergerThatChangesItsArgumentsHurtsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sum := podshare.WithMerger(func(existing, incoming map[string]int) map[string]int {
			for k, n := range existing {
				incoming[k] += n
			}
			return incoming
		})
		s := openOf(t, newMemory(t), "a", sum)
		first, second := map[string]int{"n": 10}, map[string]int{"n": 1}
		require.NoError(t, s.Set(t.Context(), "k", maps.Clone(first)))
		require.NoError(t, s.SetMany(t.Context(), map[string]map[string]int{"k": second, "l": {"n": 5}}))
		requireHolds(t, s, "k", map[string]int{"n": 11})
		require.Equal(t, map[string]int{"n": 1}, second, "the caller's value is as it was")
	})
}

// With a Merger it is the joined values that must fit into a frame: a batch that does not is refused whole.
func TestBatchThatGrowsBeyondAFrameByJoiningIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		join := podshare.WithMerger(func(existing, incoming string) string { return existing + incoming })
		s := openOf(t, newMemory(t), "a", join, podshare.WithLimits[string](podshare.Limits{
			KeyBytes: 64, ValueBytes: 20 << 10, FrameBytes: 32 << 10,
		}))
		batch := map[string]string{"1": "x", "2": "x", "3": "x"}
		for key := range batch {
			require.NoError(t, s.Set(t.Context(), key, incompressible(12<<10)))
		}
		before := s.Snapshot()
		require.ErrorIs(t, s.SetMany(t.Context(), batch), podshare.ErrTooLarge)
		require.Equal(t, before, s.Snapshot(), "nothing was applied")
	})
}
