package podshare

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// The table of rows.go, cell by cell, for one write of a store.
func TestRowsAreJoinedDotByDot(t *testing.T) {
	const key = "k"
	const live, dead = wire.Flags(0), wire.FlagExpired
	for name, c := range map[string]struct {
		ours   bool       // the store holds the write; else it has seen it, and it is dead
		stored wire.Flags // of the stored row, if holds
		holds  bool
		covers bool // the table's vector does

		changed bool
		becomes []wire.Flags // states of the writes of the row, if it changed
	}{
		"both hold it":                    {ours: true, holds: true, stored: live, covers: true},
		"held here, dead in the row":      {ours: true, holds: true, stored: dead, covers: true},
		"held here, dead in the table":    {ours: true, covers: true},
		"held here, unseen in the table":  {ours: true, changed: true, becomes: []wire.Flags{live}},
		"dead here, held in the table":    {holds: true, stored: live, covers: true, changed: true},
		"dead here, dead in the row":      {holds: true, stored: dead, covers: true, changed: true},
		"dead here, and not in the table": {covers: true},
		"dead here, unseen in the table":  {},
	} {
		t.Run(name, func(t *testing.T) {
			s := openQuiet(t)
			require.NoError(t, s.Set(t.Context(), key, "v"))
			if !c.ours {
				require.NoError(t, s.Delete(t.Context(), key))
			}
			capture := captureKey(s, key)
			row := &capture.rows[0]
			if !c.ours {
				row.entry = nil // and its tombstone was collected
			}
			id := capture.origins[self].id
			var head []byte
			if c.holds {
				head = wire.AppendRowHead(nil, []byte(key), []wire.RowPart{{ID: id, Seq: 1, State: c.stored}})
			}
			table := tableVector{}
			if c.covers {
				table[id] = &tableOrigin{seen: seqSet{head: 1}}
			}
			got, err := capture.join(row, &SnapshotRow{Key: key, Head: head}, table, false)
			require.NoError(t, err)
			require.Equal(t, c.changed, got.changed)
			var states []wire.Flags
			if got.head != nil {
				parts, err := wire.ParseRowHead(nil, []byte(key), got.head)
				require.NoError(t, err)
				for _, p := range parts {
					states = append(states, p.State)
				}
			}
			require.Equal(t, c.becomes, states)
		})
	}
}

// What expired elsewhere stays so in a row that changes for another reason, though it is live here.
func TestDeathInARowOutlivesItsNextChange(t *testing.T) {
	const key = "k"
	s := openQuiet(t)
	require.NoError(t, s.Set(t.Context(), key, "old"))
	c := captureKey(s, key)
	old, err := c.join(&c.rows[0], &SnapshotRow{Key: key}, nil, false)
	require.NoError(t, err)
	require.NoError(t, s.Set(t.Context(), key, "new"))
	here := captureKey(s, key)
	s.mu.Lock()
	s.core.latch(s.core.lookup([]byte(key)), dot{self, 2}, flagExpired)
	s.mu.Unlock()
	c = captureKey(s, key)
	both, err := c.join(&c.rows[0], &SnapshotRow{Key: key, Head: old.head, Body: old.body}, nil, true)
	require.NoError(t, err)

	got, err := here.join(&here.rows[0], &SnapshotRow{Key: key, Head: both.head, Body: both.body}, here.seen, false)
	require.NoError(t, err)
	parts, err := wire.ParseRowHead(nil, []byte(key), got.head)
	require.NoError(t, err)
	require.Equal(t, []wire.RowPart{{ID: here.origins[self].id, Seq: 2, State: wire.FlagExpired}}, parts)
}

func captureKey(s *Store[string], key string) *rowCapture[string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.captureRows(s.now(), map[string]bool{key: true}, false)
}
