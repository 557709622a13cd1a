package podshare_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// desk is a pod's transport: its frames go one way, and its table is another's. A test counts what the table moves, and
// may have calls fail or something happen before or after them. Set the functions while no store uses it.
type desk struct {
	podshare.Transport
	table      *transport.MemoryTransport
	beforeSwap func(changes []podshare.RowChange) error
	afterSwap  func(changes []podshare.RowChange) error
	failing    atomic.Bool
	moved      atomic.Int64 // bytes
	scans      atomic.Int64 // of entries
}

var errDesk = errors.New("desk: out of reach")

func (d *desk) SnapshotHeads(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
	if d.failing.Load() {
		return nil, errDesk
	}
	heads, err := d.table.SnapshotHeads(ctx, topic, names)
	for i, head := range heads {
		d.moved.Add(int64(len(names[i].Key) + len(head)))
	}
	return heads, err
}

func (d *desk) SnapshotRows(ctx context.Context, topic string, names []podshare.RowName) ([]podshare.SnapshotRow, error) {
	if d.failing.Load() {
		return nil, errDesk
	}
	rows, err := d.table.SnapshotRows(ctx, topic, names)
	d.moved.Add(bytesOf(rows))
	return rows, err
}

func (d *desk) SwapSnapshotRows(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
	if d.failing.Load() {
		return false, errDesk
	}
	if d.beforeSwap != nil {
		if err := d.beforeSwap(changes); err != nil {
			return false, err
		}
	}
	for i := range changes {
		ch := &changes[i]
		d.moved.Add(int64(len(ch.Key) + len(ch.Was) + len(ch.Head) + len(ch.Body)))
	}
	swapped, err := d.table.SwapSnapshotRows(ctx, topic, changes)
	if err == nil && swapped && d.afterSwap != nil {
		err = d.afterSwap(changes)
	}
	return swapped && err == nil, err
}

func (d *desk) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error,
) error {
	if d.failing.Load() {
		return errDesk
	}
	if section == podshare.SnapshotEntries {
		d.scans.Add(1)
	}
	return d.table.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
		d.moved.Add(bytesOf(rows))
		return fn(rows)
	})
}

func bytesOf(rows []podshare.SnapshotRow) (n int64) {
	for i := range rows {
		n += int64(len(rows[i].Key) + len(rows[i].Head) + len(rows[i].Body))
	}
	return n
}

// alone returns the transport of a pod that shares nothing with others but the table.
func alone(t testing.TB, table *transport.MemoryTransport) *desk {
	t.Helper()
	return &desk{Transport: whole{newMemory(t)}, table: table}
}

// with returns the transport of a pod that hears those of the same frames.
func with(frames, table *transport.MemoryTransport) *desk {
	return &desk{Transport: whole{frames}, table: table}
}

// tableRows returns a copy of all rows.
func tableRows(t testing.TB, table podshare.SnapshotTable) map[podshare.RowName]podshare.SnapshotRow {
	t.Helper()
	all := map[podshare.RowName]podshare.SnapshotRow{}
	for _, section := range []podshare.SnapshotSection{podshare.SnapshotVector, podshare.SnapshotEntries} {
		require.NoError(t, table.ScanSnapshot(t.Context(), topic, section, func(rows []podshare.SnapshotRow) error {
			for _, row := range rows {
				all[podshare.RowName{Section: section, Key: row.Key}] = row
			}
			return nil
		}))
	}
	return all
}

// setRows makes the table consist of these rows.
func setRows(t testing.TB, table podshare.SnapshotTable, want map[podshare.RowName]podshare.SnapshotRow) {
	t.Helper()
	for name, row := range tableRows(t, table) {
		swapRow(t, table, podshare.RowChange{RowName: name, Was: row.Head})
	}
	for name, row := range want {
		swapRow(t, table, podshare.RowChange{RowName: name, Head: row.Head, Body: row.Body})
	}
}

func swapRow(t testing.TB, table podshare.SnapshotTable, ch podshare.RowChange) {
	t.Helper()
	swapped, err := table.SwapSnapshotRows(t.Context(), topic, []podshare.RowChange{ch})
	require.NoError(t, err)
	require.True(t, swapped)
}

// inTable returns what a new pod that is alone finds in the table. It leaves no trace there.
func inTable(t testing.TB, table *transport.MemoryTransport, opts ...podshare.Option[string]) map[string]string {
	t.Helper()
	tr := alone(t, table)
	tr.beforeSwap = func([]podshare.RowChange) error { return errDesk }
	s := open(t, tr, "reader", opts...)
	held := s.Snapshot()
	_ = s.Close()
	return held
}

// What is moved follows what changed: 10 keys of 100,000 cost their author less than a thousandth of all, and those that
// heard of them less.
func TestTableMovesWhatChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		frames, table := newMemory(t), newMemory(t)
		ta, tb := with(frames, table), with(frames, table)
		a := open(t, ta, "a")
		require.NoError(t, a.SetMany(t.Context(), numbered(100_000, strings.Repeat("v", 50))))
		b := open(t, tb, "b")
		pass(10 * time.Minute)
		var all int64
		for _, row := range tableRows(t, table) {
			all += bytesOf([]podshare.SnapshotRow{row})
		}
		ta.moved.Store(0)
		tb.moved.Store(0)
		for i := range 10 {
			require.NoError(t, a.Set(t.Context(), fmt.Sprintf("key %05d", i*1000), strings.Repeat("w", 50)))
		}
		pass(20 * time.Second)
		requireHolds(t, b, "key 09000", strings.Repeat("w", 50))
		require.Positive(t, ta.moved.Load())
		require.LessOrEqual(t, ta.moved.Load(), all/1000, "of the author")
		require.LessOrEqual(t, tb.moved.Load(), all/5000, "of one who heard")
		require.Zero(t, b.Stats().Snapshots, "nothing was left to store")
	})
}

// A table that is an older copy again is noticed before anything is built on it: what this store stored since, or found
// there since, is stored again with the next write, at the latest.
func TestTableThatIsRolledBackLosesNothingThatIsHeld(t *testing.T) {
	for name, found := range map[string]bool{"what was stored": false, "what was loaded": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				table := newMemory(t)
				old := open(t, alone(t, table), "old")
				require.NoError(t, old.Set(t.Context(), "before", "v"))
				pass(time.Second)
				copied := tableRows(t, table)
				if !found {
					pass(5 * time.Minute) // it has looked
				}
				require.NoError(t, old.Set(t.Context(), "lost", "v"))
				pass(time.Second)
				s := old
				if found {
					require.NoError(t, old.Close())
					s = open(t, alone(t, table), "new")
					requireHolds(t, s, "lost", "v")
				}
				setRows(t, table, copied)
				require.NoError(t, s.Set(t.Context(), "after", "v"))
				pass(time.Second)
				want := map[string]string{"before": "v", "lost": "v", "after": "v"}
				require.Equal(t, want, inTable(t, table))
				require.NoError(t, s.Refresh(t.Context()))
				require.Equal(t, want, s.Snapshot())
			})
		})
	}
}

// A table that is flushed is whole again with the next write: also of what others wrote who are gone.
func TestTableThatIsFlushedIsWholeAgainAfterTheNextWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		frames, table := newMemory(t), newMemory(t)
		a, b := open(t, with(frames, table), "a"), open(t, with(frames, table), "b")
		require.NoError(t, a.Set(t.Context(), "a's", "v"))
		require.NoError(t, b.Set(t.Context(), "b's", "v"))
		pass(5 * time.Minute)
		require.NoError(t, a.Close())
		pass(5 * time.Minute)
		setRows(t, table, nil)
		require.NoError(t, b.Set(t.Context(), "new", "v"))
		require.NoError(t, b.Close())
		require.Equal(t, map[string]string{"a's": "v", "b's": "v", "new": "v"}, inTable(t, table))
	})
}

// A pod that closes looks whether the table is still there, though it wrote nothing.
func TestTableThatIsFlushedIsWholeAgainWhenAPodCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table := newMemory(t)
		a := open(t, alone(t, table), "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(5 * time.Second)
		setRows(t, table, nil)
		require.NoError(t, a.Close())
		require.Equal(t, map[string]string{"k": "v"}, inTable(t, table))
	})
}

// Of a table of which one half is gone, evicted or deleted, the other says nothing: not that all keys are dead.
func TestTableThatLostOneHalfKillsNothing(t *testing.T) {
	for _, lost := range []podshare.SnapshotSection{podshare.SnapshotEntries, podshare.SnapshotVector} {
		t.Run(string(lost), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				frames, table := newMemory(t), newMemory(t)
				a := open(t, with(frames, table), "a")
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "v", "l": "v"}))
				pass(5 * time.Minute)
				rows := tableRows(t, table)
				for name := range rows {
					if name.Section == lost {
						delete(rows, name)
					}
				}
				setRows(t, table, rows)
				require.NoError(t, a.Refresh(t.Context()))
				require.Equal(t, map[string]string{"k": "v", "l": "v"}, a.Snapshot())
				b := open(t, with(frames, table), "b")
				pass(5 * time.Minute)
				want := map[string]string{"k": "v", "l": "v"}
				require.Equal(t, want, a.Snapshot())
				require.Equal(t, want, b.Snapshot())
				require.Equal(t, want, inTable(t, table))
			})
		})
	}
}

// A row that is damaged is noticed by whoever reads it, kills nothing by what it does not say, and is replaced: within
// minutes the table is whole, and stays so.
func TestDamagedRowIsReplaced(t *testing.T) {
	damages := map[string]func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool){
		"head of an entry": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Was: row.Head, Head: []byte("?"), Body: row.Body},
				name.Key == "k"
		},
		"body of an entry": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Head: row.Head, Body: row.Body[:len(row.Body)/2]}, name.Key == "k"
		},
		"foreign entry": func(name podshare.RowName, _ podshare.SnapshotRow) (podshare.RowChange, bool) {
			foreign := podshare.RowName{Section: name.Section, Key: "foreign"}
			return podshare.RowChange{RowName: foreign, Head: []byte("?")}, name.Key == "k"
		},
		"foreign vector row": func(name podshare.RowName, _ podshare.SnapshotRow) (podshare.RowChange, bool) {
			foreign := podshare.RowName{Section: name.Section, Key: "foreign"}
			return podshare.RowChange{RowName: foreign, Head: []byte("?")},
				name.Section == podshare.SnapshotVector && name.Key == ""
		},
		"vector row": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Was: row.Head, Head: row.Head[1:]},
				name.Section == podshare.SnapshotVector && name.Key != ""
		},
		"no vector row": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Was: row.Head}, name.Section == podshare.SnapshotVector && name.Key != ""
		},
		"table head": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Was: row.Head, Head: row.Head[1:]}, name.Key == ""
		},
		"no table head": func(name podshare.RowName, row podshare.SnapshotRow) (podshare.RowChange, bool) {
			return podshare.RowChange{RowName: name, Was: row.Head}, name.Key == ""
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				table := newMemory(t)
				ta := alone(t, table)
				a := open(t, ta, "a", log.to())
				want := map[string]string{"k": "v", "l": "v"}
				require.NoError(t, a.SetMany(t.Context(), want))
				pass(5 * time.Minute)
				rows := tableRows(t, table)
				for name, row := range rows {
					if ch, chosen := damage(name, row); chosen {
						if ch.Was == nil && ch.RowName == name { // an equal head would leave the row as it is
							swapRow(t, table, podshare.RowChange{RowName: name, Was: row.Head})
						}
						swapRow(t, table, ch)
						break
					}
				}
				tc := alone(t, table)
				c := open(t, tc, "c", log.to()) // looks at every row
				require.NoError(t, a.Refresh(t.Context()))
				require.Equal(t, want, a.Snapshot(), "nothing dies by the absence of what cannot be read")
				pass(10 * time.Minute)
				require.Equal(t, want, inTable(t, table))
				require.Equal(t, want, a.Snapshot())
				require.NoError(t, c.Refresh(t.Context()))
				require.Equal(t, want, c.Snapshot())

				scans, reports := ta.scans.Load()+tc.scans.Load(), log.count(nil)
				pass(time.Hour)
				require.Equal(t, scans, ta.scans.Load()+tc.scans.Load(), "it is over")
				require.Equal(t, reports, log.count(nil))
				require.NotContains(t, tableRows(t, table), podshare.RowName{Section: podshare.SnapshotVector, Key: "foreign"})
			})
		})
	}
}

// What a store refuses stays in the table for others; it is not looked at again and again.
func TestRefusedWriteStaysInTheTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table := newMemory(t)
		big := strings.Repeat("v", 1000)
		a := open(t, alone(t, table), "a")
		require.NoError(t, a.Set(t.Context(), "big", big))
		require.NoError(t, a.Set(t.Context(), "small", "v"))
		tb := alone(t, table)
		var log errorLog
		b := open(t, tb, "b", podshare.WithLimits[string](podshare.Limits{ValueBytes: 100}), log.to())
		require.Eventually(t, func() bool { pass(time.Minute); _, ok := b.Get("small"); return ok }, time.Hour, time.Second)
		requireAbsent(t, b, "big")
		require.NoError(t, b.Set(t.Context(), "b's", "v"))
		for range 100 {
			require.NoError(t, a.Set(t.Context(), "small", "v"))
			pass(time.Minute)
		}
		require.NoError(t, a.Close())
		pass(10 * time.Minute)
		scans := tb.scans.Load()
		pass(time.Hour)
		require.Equal(t, scans, tb.scans.Load())
		require.NoError(t, b.Close())
		require.Equal(t, map[string]string{"big": big, "small": "v", "b's": "v"}, inTable(t, table))
	})
}

// Of what takes many steps every single one leaves a state that some store had: whoever stops between two takes nothing
// away and brings nothing back, and the next one completes it.
func TestMergeOfManyStepsMayStopAfterAny(t *testing.T) {
	const keys = 5000 // more than a step has
	stopped := true
	for stop := 1; stopped; stop++ {
		bubble(t, func(t *testing.T) {
			stopped = false
			frames, table := newMemory(t), newMemory(t)
			ta, tb := with(frames, table), with(frames, table)
			a, b := open(t, ta, "a"), open(t, tb, "b")
			require.NoError(t, a.SetMany(t.Context(), numbered(keys, "old")))
			pass(5 * time.Minute)
			want := numbered(keys, "old")
			ta.failing.Store(true)
			tb.failing.Store(true)
			next := maps.Clone(want)
			for i := range keys {
				key := fmt.Sprintf("key %05d", i)
				if i%5 == 0 {
					require.NoError(t, a.Delete(t.Context(), key))
					delete(next, key)
				} else {
					require.NoError(t, a.Set(t.Context(), key, "new"))
					next[key] = "new"
				}
			}
			pass(time.Minute) // b has everything, by repair if need be
			requireSame(t, a, b)
			steps := 0
			ta.afterSwap = func([]podshare.RowChange) error {
				if steps++; steps == stop {
					stopped = true
					ta.failing.Store(true)
				}
				return nil
			}
			ta.failing.Store(false)
			_ = a.Close()
			held := inTable(t, table)
			for key, value := range held {
				require.Contains(t, []string{want[key], next[key]}, value, key)
			}
			for key := range next {
				require.Contains(t, held, key, "stored before, and not deleted")
			}
			tb.failing.Store(false)
			require.NoError(t, b.Close())
			require.Equal(t, next, inTable(t, table))
		})
	}
}

// A batch that takes many steps to store is not seen by who starts between two of them, and then it is seen whole.
func TestBatchThatIsHalfStoredIsNotSeen(t *testing.T) {
	const keys = 5000 // more than a step has
	bubble(t, func(t *testing.T) {
		table := newMemory(t)
		ta := alone(t, table)
		a := open(t, ta, "a")
		require.NoError(t, a.SetMany(t.Context(), numbered(keys, "old")))
		pass(5 * time.Second)
		require.Equal(t, numbered(keys, "old"), inTable(t, table))
		ta.afterSwap = func([]podshare.RowChange) error {
			ta.failing.Store(true)
			return nil
		}
		require.NoError(t, a.SetMany(t.Context(), numbered(keys, "new")))
		pass(time.Second)
		require.True(t, ta.failing.Load())
		require.Equal(t, numbered(keys, "old"), inTable(t, table))
		ta.afterSwap = nil
		ta.failing.Store(false)
		pass(5 * time.Minute)
		require.Equal(t, numbered(keys, "new"), inTable(t, table))
	})
}

// A table that fails over to a copy without the last steps of a merge is not told that it covers them.
func TestStepsThatAreUndoneDuringAMergeAreMadeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		table := newMemory(t)
		ta := alone(t, table)
		a := open(t, ta, "a")
		require.NoError(t, a.Set(t.Context(), "first", "v"))
		pass(time.Second)
		steps := 0
		var copied map[podshare.RowName]podshare.SnapshotRow
		ta.afterSwap = func([]podshare.RowChange) error {
			switch steps++; steps {
			case 3:
				copied = tableRows(t, table)
			case 5:
				setRows(t, table, copied)
			}
			return nil
		}
		require.NoError(t, a.SetMany(t.Context(), numbered(5000, "v")))
		pass(time.Minute)
		require.Greater(t, steps, 5)
		want := numbered(5000, "v")
		want["first"] = "v"
		require.Equal(t, want, inTable(t, table))
		require.NoError(t, a.Refresh(t.Context()))
		require.Equal(t, want, a.Snapshot())
	})
}

// A pod that starts when all others are gone has everything: values, seeds and batches, deadlines, the parts of each
// writer of a joined key; and no deleted key.
func TestPodThatStartsFromTheTableHasEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		frames, table := newMemory(t), newMemory(t)
		a, b := openUnion(t, with(frames, table), "a"), openUnion(t, with(frames, table), "b")
		require.NoError(t, a.Seed(map[string][]string{"seed": {"s"}, "joined": {"s"}}))
		require.NoError(t, a.Set(t.Context(), "joined", []string{"a"}))
		require.NoError(t, b.Set(t.Context(), "joined", []string{"b"}))
		require.NoError(t, b.SetMany(t.Context(), map[string][]string{"batch 1": {"v"}, "batch 2": {"v"}}))
		require.NoError(t, a.Set(t.Context(), "deleted", []string{"v"}))
		require.NoError(t, a.SetTTL(t.Context(), "passing", []string{"v"}, time.Hour))
		require.NoError(t, a.SetTTL(t.Context(), "passed", []string{"v"}, time.Minute))
		pass(10 * time.Second)
		require.NoError(t, b.Delete(t.Context(), "deleted"))
		pass(20 * time.Minute)
		want := a.Snapshot()
		require.Len(t, want, 5)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())

		c := openUnion(t, alone(t, table), "c")
		require.Equal(t, want, c.Snapshot())
		require.ElementsMatch(t, []string{"a", "b", "s"}, want["joined"])
		pass(41 * time.Minute)
		requireAbsent(t, c, "passing")
	})
}

// A table of another codec is left as it is, and reported.
func TestTableOfAnotherCodecIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		table := newMemory(t)
		foreign := open(t, alone(t, table), "foreign", podshare.WithCodec[string](podshare.MsgpackCodec{}))
		require.NoError(t, foreign.Set(t.Context(), "k", "theirs"))
		require.NoError(t, foreign.Close())
		before := tableRows(t, table)
		s := open(t, alone(t, table), "a", log.to())
		requireAbsent(t, s, "k")
		require.NoError(t, s.Set(t.Context(), "k", "ours"))
		pass(10 * time.Minute)
		require.NoError(t, s.Close())
		require.Equal(t, before, tableRows(t, table))
		require.Positive(t, log.count(podshare.ErrCodecMismatch))
	})
}

// A tombstone that is collected leaves the table; a pod that comes back with what was deleted does not revive it there.
func TestCollectedTombstoneLeavesTheTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		short := []podshare.Option[string]{
			podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second),
		}
		net, table := newNetwork(t, 1), newMemory(t)
		at := func(pod string) *desk { return &desk{Transport: whole{net.Pod(pod)}, table: table} }
		ta := at("a")
		a, b := open(t, ta, "a", short...), open(t, at("b"), "b", short...)
		_ = open(t, at("c"), "c", short...)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		name := podshare.RowName{Section: podshare.SnapshotEntries, Key: "k"}
		require.Contains(t, tableRows(t, table), name)
		net.Cut("a")
		ta.failing.Store(true)
		require.NoError(t, b.Delete(t.Context(), "k"))
		pass(10 * time.Minute)
		require.NotContains(t, tableRows(t, table), name)
		requireHolds(t, a, "k", "v")

		require.NoError(t, a.Set(t.Context(), "meanwhile", "v"))
		ta.failing.Store(false)
		pass(10 * time.Minute)
		require.Equal(t, map[string]string{"meanwhile": "v"}, inTable(t, table))
		requireAbsent(t, a, "k")
	})
}

// A table that was out of reach while more keys came and went than are remembered has everything afterwards.
func TestTableThatWasOutOfReachIsComparedInFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ta := alone(t, newMemory(t))
		a := open(t, ta, "a", podshare.WithLimits[string](podshare.Limits{Tombstones: 1000}))
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"goes": "v", "stays": "v"}))
		pass(time.Second)
		ta.failing.Store(true)
		require.NoError(t, a.Delete(t.Context(), "goes"))
		for i := range 70 {
			many := make(map[string]string, 1000)
			var keys []string
			for j := range 1000 {
				key := fmt.Sprint("key ", i*1000+j)
				many[key], keys = "v", append(keys, key)
			}
			require.NoError(t, a.SetMany(t.Context(), many))
			require.NoError(t, a.DeleteMany(t.Context(), keys))
			pass(time.Second)
		}
		scans := ta.scans.Load()
		ta.failing.Store(false)
		require.NoError(t, a.Close())
		require.Greater(t, ta.scans.Load(), scans)
		require.Equal(t, map[string]string{"stays": "v"}, inTable(t, ta.table))
	})
}
