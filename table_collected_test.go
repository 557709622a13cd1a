package podshare_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
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

// A store adds writes in steps while another one, which has seen them die and forgot their deletes, has the vector cover
// them: they do not stay, whichever comes first.
func TestWritesThatAreAddedWhileTheirDeathIsStoredDoNotStay(t *testing.T) {
	for name, addedFirst := range map[string]bool{"added first": true, "covered first": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net, table := newNetwork(t, 1), newMemory(t)
				ta := &desk{Transport: whole{net.Pod("a")}, table: table}
				tb := &desk{Transport: whole{net.Pod("b")}, table: table}
				a := open(t, ta, "a")
				b := open(t, tb, "b", podshare.WithLimits[string](podshare.Limits{Tombstones: 1}))
				require.NoError(t, a.Set(t.Context(), "stays", "v"))
				pass(time.Minute)
				raiseFloor(t, table)
				ta.failing.Store(true)
				tb.failing.Store(true)
				keys := []string{"1", "2", "3", "4"}
				for _, key := range keys {
					require.NoError(t, a.Set(t.Context(), key, incompressible(2<<20))) // too much for one step
				}
				pass(time.Minute)
				net.Cut("a")
				for _, key := range keys {
					require.NoError(t, b.Delete(t.Context(), key))
				}
				pass(time.Second)
				require.Equal(t, uint64(3), b.Stats().TombstonesForced)

				// The second one has read the table before the first one changes it.
				first, second, t1, t2 := b, a, tb, ta
				if addedFirst {
					first, second, t1, t2 = a, b, ta, tb
					ta.afterSwap = func([]podshare.RowChange) error { return errDesk } // its first step is its last
				}
				t2.beforeSwap = func([]podshare.RowChange) error {
					t2.beforeSwap = nil
					t1.failing.Store(false)
					_ = first.Close()
					return nil
				}
				t2.failing.Store(false)
				_ = second.Close()
				require.Equal(t, []string{"stays"}, slices.Collect(maps.Keys(inTable(t, table))))
			})
		})
	}
}

// raiseFloor gives the table a floor above all that a test collects. Without that its head changes with each collection,
// and every step would notice.
func raiseFloor(t *testing.T, table podshare.SnapshotTable) {
	t.Helper()
	name := podshare.RowName{Section: podshare.SnapshotVector}
	was := tableRows(t, table)[name].Head
	head, err := wire.ParseTableHead(was)
	require.NoError(t, err)
	head.Floor = time.Now().Add(time.Hour).UnixNano()
	swapRow(t, table, podshare.RowChange{RowName: name, Was: was, Head: wire.AppendTableHead(nil, &head)})
}
