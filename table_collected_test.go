package podshare_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// A delete that was collected is in no row: nothing but the vector of a store that saw it keeps the key out of the table.

// A store that knows of a delete by the mark alone removes the key from the table though it never held it.
func TestKeyThatIsDeadByAMarkLeavesTheTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		short := []podshare.Option[string]{
			podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second),
		}
		net, table := newNetwork(t, 1), newMemory(t)
		at := func(pod string) *desk { return &desk{Transport: whole{net.Pod(pod)}, table: table} }
		ta, tb, tc := at("a"), at("b"), at("c")
		a, c := open(t, ta, "a", short...), open(t, tc, "c", short...)
		_ = open(t, tb, "b", short...)
		pass(5 * time.Second)
		tc.failing.Store(true)
		net.Cut("c")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Equal(t, map[string]string{"k": "v"}, inTable(t, table))
		ta.failing.Store(true)
		tb.failing.Store(true)
		require.NoError(t, a.Delete(t.Context(), "k"))
		pass(10 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		net.Heal()
		pass(time.Minute)
		tc.failing.Store(false)
		require.NoError(t, c.Close())
		require.Empty(t, inTable(t, table))
	})
}
