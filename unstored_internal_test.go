package podshare

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// While nobody stores them, changed keys are listed once and up to a bound. Beyond it any key may have changed: the next
// merge compares all.
func TestChangedKeysAreListedUpToABound(t *testing.T) {
	s := openQuiet(t)
	require.NoError(t, s.with(func(r *replica[string], _ instant) {
		u := &r.unstored
		u.tracked = true
		for range 100_000 {
			r.noteChange("k", nil, nil)
		}
		require.False(t, u.all)
		require.LessOrEqual(t, len(u.keys), minChangedRoom)

		most := 0
		for i := range 4 * maxChangedBeyond {
			r.noteChange(strconv.Itoa(i), nil, nil)
			most = max(most, len(u.keys))
		}
		require.True(t, u.all)
		require.LessOrEqual(t, most, 2*maxChangedBeyond)
	}))
	table := newTableSnapshot[string](nil, s)
	_, err := table.capture(false)
	require.NoError(t, err)
	require.True(t, table.all)
}
