package podshare

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// tableMerge is one merging of a captured state into a table.
type tableMerge[T any] struct {
	*tableSnapshot[T]
	c       *rowCapture[T]
	st      *tableState
	again   []keyState[T] // rows that hold what is dead until the vector is there
	last    *RowChange    // says that a row that the last step changed is still what it became
	written int           // bytes of rows that were swapped
}

// run merges in one step what fits into one, else in three.
func (m *tableMerge[T]) run(ctx context.Context) error {
	err := m.atOnce(ctx)
	if !errors.Is(err, errTooMuch) {
		return err
	}
	m.c.errs = nil // they come again
	for rows := range slices.Chunk(m.c.rows, m.maxRows/4) {
		if err := m.retried(ctx, func() error { return m.step(ctx, rows, true) }); err != nil {
			return err
		}
	}
	var changes []RowChange
	err = m.retried(ctx, func() error {
		changes = m.vectorChanges()
		return m.swap(ctx, changes)
	})
	if err != nil {
		return err
	}
	m.st.head, m.st.twin = changes[0].Head, changes[1].Head
	m.st.vector = m.st.vector.joined(m.c.seen)
	for rows := range slices.Chunk(m.again, m.maxRows/4) {
		if err := m.step(ctx, rows, false); err != nil {
			return err
		}
	}
	return nil
}

// retried calls do until no other store was faster. Each time the vector is read anew.
func (m *tableMerge[T]) retried(ctx context.Context, do func() error) error {
	for try := range maxMergeTries {
		if err := do(); !errors.Is(err, errOvertaken) {
			return err
		}
		if err := m.pause(ctx, jitter(try)); err != nil {
			return err
		}
		if err := m.keptLast(ctx); err != nil {
			return err
		}
		st, err := m.readWhole(ctx)
		if err != nil {
			return err
		}
		if st.foreign || !st.follows(m.st, m.c.seen) {
			return errOvertaken
		}
		m.st = st
	}
	return errOvertaken
}

// atOnce makes all changes in one step. The rows that need none are part of it: that they still are as they were read
// is what lets the vector cover the rest.
func (m *tableMerge[T]) atOnce(ctx context.Context) error {
	if len(m.c.rows) > m.maxRows {
		return errTooMuch
	}
	changes, _, err := m.changes(ctx, m.c.rows, false, true)
	if err != nil {
		return err
	}
	return m.swap(ctx, append(changes, m.vectorChanges()...))
}

// step merges some rows, before the vector covers their writes (add) or after it does.
func (m *tableMerge[T]) step(ctx context.Context, rows []keyState[T], add bool) error {
	for len(rows) > 0 {
		changes, done, err := m.changes(ctx, rows, add, false)
		if err != nil {
			return err
		}
		if err := m.swap(ctx, changes); err != nil {
			return err
		}
		rows = rows[done:]
	}
	return nil
}

// changes returns what becomes of rows: of all of them, or else of the first ones, as many as fit into a step, and how
// many these are.
func (m *tableMerge[T]) changes(ctx context.Context, rows []keyState[T], add, all bool) (changes []RowChange, done int, err error) {
	names := make([]RowName, len(rows))
	for i := range rows {
		names[i] = RowName{SnapshotEntries, rows[i].key}
	}
	heads, err := m.heads(ctx, names)
	if err != nil {
		return nil, 0, err
	}
	var guards idSet
	var bodies []SnapshotRow // of the row at i and those after it
	size := 0
	for i := range rows {
		row := SnapshotRow{Head: heads[i]}
		if len(bodies) > 0 {
			row, bodies = bodies[0], bodies[1:]
		}
		next, err := m.c.join(&rows[i], &row, m.st.vector, add)
		if errors.Is(err, errBodyNeeded) {
			if bodies, err = m.whole(ctx, names[i:], heads[i:]); err == nil {
				row, bodies = bodies[0], bodies[1:]
				next, err = m.c.join(&rows[i], &row, m.st.vector, add)
			}
		}
		if err != nil {
			return nil, 0, err
		}
		if next.damaged && !m.st.lost {
			m.damaged(m.st, wire.ErrCorrupt)
			m.all = true
			return nil, 0, errOvertaken
		}
		if next.keepsDead {
			m.again = append(m.again, rows[i])
		}
		switch {
		case next.changed:
			changes = append(changes, RowChange{RowName: names[i], Was: row.Head, Head: next.head, Body: next.body})
		case all:
			changes = append(changes, RowChange{RowName: names[i], Was: row.Head, Head: row.Head})
		}
		guards.add(next.added...)
		done++
		if size += len(next.head) + len(next.body); size > maxSwapBytes {
			if all {
				return nil, 0, errTooMuch
			}
			break
		}
	}
	if all || len(changes) == 0 {
		return changes, done, nil
	}
	changes = append(changes, RowChange{RowName: RowName{SnapshotVector, ""}, Was: m.st.head, Head: m.st.head})
	for id := range guards {
		var row []byte
		if o := m.st.vector[id]; o != nil {
			row = o.row
		}
		changes = append(changes, RowChange{RowName: RowName{SnapshotVector, string(wire.VectorRowName(id))}, Was: row, Head: row})
	}
	return changes, done, nil
}

// maxBodies is how many rows are read whole at a time. If one is needed, those after it mostly are.
const maxBodies = 64

// whole reads the first of some rows whole, which must have the heads given.
func (m *tableMerge[T]) whole(ctx context.Context, names []RowName, heads [][]byte) ([]SnapshotRow, error) {
	rows, err := m.table.SnapshotRows(ctx, m.topic, names[:min(len(names), maxBodies)])
	if err != nil {
		return nil, m.wrap(err)
	}
	for i := range rows {
		if !bytes.Equal(rows[i].Head, heads[i]) {
			return nil, errOvertaken
		}
	}
	return rows, nil
}

func (m *tableMerge[T]) heads(ctx context.Context, names []RowName) (heads [][]byte, err error) {
	for part := range slices.Chunk(names, m.maxRows/4) {
		some, err := m.table.SnapshotHeads(ctx, m.topic, part)
		if err != nil {
			return nil, m.wrap(err)
		}
		heads = append(heads, some...)
	}
	return heads, nil
}

// swap makes changes, if there are any.
func (m *tableMerge[T]) swap(ctx context.Context, changes []RowChange) error {
	size := 0
	for i := range changes {
		if ch := &changes[i]; !bytes.Equal(ch.Was, ch.Head) {
			size += len(ch.Key) + len(ch.Head) + len(ch.Body)
		}
	}
	if size == 0 {
		return nil
	}
	// A table that fails over to a copy may lose its last steps, but no step and not those after it. With this guard, a step
	// that was made says that all before it are there.
	if m.last != nil && !slices.ContainsFunc(changes, func(ch RowChange) bool { return ch.RowName == m.last.RowName }) {
		changes = append(slices.Clip(changes), *m.last)
	}
	swapped, err := m.table.SwapSnapshotRows(ctx, m.topic, changes)
	switch {
	case err != nil:
		return m.wrap(err)
	case !swapped:
		return errOvertaken
	}
	for i := range changes {
		if ch := &changes[i]; ch.Section == SnapshotEntries && !bytes.Equal(ch.Was, ch.Head) {
			m.last = &RowChange{RowName: ch.RowName, Was: ch.Head, Head: ch.Head}
			break
		}
	}
	m.written += size
	return nil
}

// keptLast fails if the last step was undone, or changed by another store: then nobody knows about the others.
func (m *tableMerge[T]) keptLast(ctx context.Context) error {
	if m.last == nil {
		return nil
	}
	heads, err := m.heads(ctx, []RowName{m.last.RowName})
	if err == nil && !bytes.Equal(heads[0], m.last.Head) {
		err = errOvertaken
	}
	return err
}

// idSet is a set of origins.
type idSet map[wire.ID]struct{}

func (s *idSet) add(ids ...wire.ID) {
	if *s == nil && len(ids) > 0 {
		*s = idSet{}
	}
	for _, id := range ids {
		(*s)[id] = struct{}{}
	}
}
