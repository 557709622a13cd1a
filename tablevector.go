package podshare

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// errDamagedTable is reported when stored rows are not what was stored.
var errDamagedTable = errors.New("podshare: the stored snapshot is damaged, and is built anew")

// tableState is what was read of a table's vector section.
type tableState struct {
	head    []byte // of the row that describes the table; nil: there is none
	twin    []byte // of the row that says so among the keys: they can be lost without the vector
	id      uint64 // of the table; 0: it is lost
	floor   int64
	vector  tableVector // what it covers
	stored  tableVector // what its rows say, though it may be damaged
	whole   bool        // all origins were read, not only those asked for
	lost    bool        // there is no table, or it is damaged: what it seems to cover counts for nothing
	damage  error       // why a row cannot be read
	strange []RowChange // the removal of rows that are no origin's
	foreign bool        // it is another fleet's, or of a newer version: it is left alone
}

// read reads the rows of those origins of which this store knows more than it stored, or all, if this store has not
// looked at all of them lately.
func (t *tableSnapshot[T]) read(ctx context.Context, c *rowCapture[T]) (*tableState, error) {
	if !t.looked || t.all {
		st, err := t.readWhole(ctx)
		if err == nil && !st.lost && !st.foreign {
			err = t.look(ctx, c, st)
		}
		return st, err
	}
	st := &tableState{vector: maps.Clone(t.covered)} // what is not read counts as unchanged
	names := []RowName{{SnapshotVector, ""}, {SnapshotEntries, ""}}
	for id, o := range c.seen {
		if !t.covered.includes(id, o) {
			names = append(names, RowName{SnapshotVector, string(wire.VectorRowName(id))})
			delete(st.vector, id)
		}
	}
	for names := range slices.Chunk(names, maxSwapRows) {
		heads, err := t.table.SnapshotHeads(ctx, t.topic, names)
		if err != nil {
			return nil, t.wrap(err)
		}
		for i, head := range heads {
			switch {
			case names[i].Section == SnapshotEntries:
				st.twin = head
			case head != nil:
				t.parse(st, names[i].Key, head)
			}
		}
	}
	t.judge(st)
	return st, nil
}

func (t *tableSnapshot[T]) readWhole(ctx context.Context) (*tableState, error) {
	st := &tableState{vector: tableVector{}, whole: true}
	err := t.table.ScanSnapshot(ctx, t.topic, SnapshotVector, func(rows []SnapshotRow) error {
		for i := range rows {
			t.parse(st, rows[i].Key, rows[i].Head)
		}
		return nil
	})
	if err != nil {
		return st, t.wrap(err)
	}
	twin, err := t.table.SnapshotHeads(ctx, t.topic, []RowName{{SnapshotEntries, ""}})
	if err != nil {
		return st, t.wrap(err)
	}
	st.twin = twin[0]
	st.lost = t.broken.Load()
	t.judge(st)
	return st, nil
}

func (t *tableSnapshot[T]) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("podshare: stored snapshot of %q: %w", t.topic, err)
}

// parse takes in one row.
func (t *tableSnapshot[T]) parse(st *tableState, name string, head []byte) {
	if name == "" {
		st.head = head
		switch h, err := wire.ParseTableHead(head); {
		case errors.Is(err, wire.ErrVersion):
			st.foreign = true
			t.host.report(t.wrap(err))
		case err != nil:
			st.damage = err
		case !bytes.Equal(h.Codec, t.codec.nameBytes):
			st.foreign = true
			t.host.report(fmt.Errorf("%w: stored snapshot has %.64q, this store %q", ErrCodecMismatch,
				h.Codec, t.codec.nameBytes))
		default:
			st.id, st.floor = h.Table, h.Floor
		}
		return
	}
	e, err := wire.ParseVectorHead(unsafeBytes(name), head)
	if err != nil {
		st.damage = err
		if len(name) != 16 {
			st.strange = append(st.strange, RowChange{RowName: RowName{SnapshotVector, name}, Was: head})
			return
		}
		e.ID = wire.ID{Boot: binary.BigEndian.Uint64([]byte(name)), Node: binary.BigEndian.Uint64([]byte(name[8:]))}
	}
	st.vector[e.ID] = &tableOrigin{seen: seqSet{head: e.Head, spans: e.Spans}, mark: e.Mark, row: head, damaged: err != nil}
}

// damaged notes that a row is not what was stored: nobody knows what else is not.
func (t *tableSnapshot[T]) damaged(st *tableState, err error) {
	if !t.broken.Swap(true) {
		t.host.report(t.wrap(fmt.Errorf("%w: %w", errDamagedTable, err)))
	}
	st.lost = true
}

// judge finds whether there is a table, and whether it is whole.
func (t *tableSnapshot[T]) judge(st *tableState) {
	if st.damage != nil && !st.foreign { // those of a newer version only look damaged
		t.damaged(st, st.damage)
	}
	st.judge()
}

// judge finds whether there is a table. What is left of one that was lost or damaged covers nothing.
func (st *tableState) judge() {
	if st.stored == nil {
		st.stored = st.vector
	}
	twin, err := wire.ParseTableHead(st.twin)
	if st.foreign || st.head != nil && !st.lost && err == nil && twin.Table == st.id {
		return
	}
	st.lost, st.id, st.floor, st.vector = true, 0, 0, tableVector{}
	for id, o := range st.stored {
		st.vector[id] = &tableOrigin{row: o.row}
	}
}

// counts reports whether a write in a row is part of the table: while one is added in several steps, the vector decides.
func (st *tableState) counts(id wire.ID, seq uint64) bool {
	o := st.stored[id]
	return o != nil && (o.damaged || o.seen.covers(seq))
}

// look compares the whole vector with what this store has seen. What the table covers, and this store has not seen when
// it looks again either, comes from a pod that is gone: it is loaded.
func (t *tableSnapshot[T]) look(ctx context.Context, c *rowCapture[T], st *tableState) error {
	missed := t.missing
	t.missing = tableVector{}
	known := c.seen.joined(t.tried)
	for id, o := range st.vector {
		if !known.includes(id, o) && !slices.Contains(c.forgotten, id) {
			t.missing[id] = o
		}
	}
	for id, o := range missed {
		if !known.includes(id, o) && !slices.Contains(c.forgotten, id) {
			err := t.scan(ctx, nil)
			if err == nil {
				t.tried, t.missing = st.vector, nil
			}
			return err
		}
	}
	return nil
}

// follows reports whether st is of the same table as before and covers, beyond that, no write as old as a delete that
// was collected here: such a write may be dead without anybody here knowing its key.
func (st *tableState) follows(before *tableState, seen tableVector) bool {
	if st.lost || before.lost || st.id != before.id {
		return false
	}
	for id, o := range before.vector {
		if !st.vector.includes(id, o) {
			return false
		}
	}
	for id, o := range st.vector {
		ours := seen[id]
		if ours == nil || ours.mark == 0 {
			continue
		}
		var old seqSet
		if o := before.vector[id]; o != nil {
			old = o.seen
		}
		for _, run := range o.seen.runs() {
			if last := min(run.Last, ours.mark); run.First <= last && !old.coversAll(run.First, last) {
				return false
			}
		}
	}
	return true
}

// vectorChanges is what becomes of the vector section: it covers besides what this store covers.
func (m *tableMerge[T]) vectorChanges() (changes []RowChange) {
	t, c, st := m.tableSnapshot, m.c, m.st
	table := wire.TableHead{Table: st.id, Floor: max(st.floor, c.floor), Codec: t.codec.nameBytes}
	if st.lost {
		table.Table = rand.Uint64() //nolint:gosec // tells tables apart
	}
	head := wire.AppendTableHead(nil, &table)
	twin := RowChange{RowName: RowName{SnapshotEntries, ""}, Was: st.twin, Head: st.twin}
	if st.lost {
		twin.Head = head
	}
	changes = append(changes, RowChange{RowName: RowName{SnapshotVector, ""}, Was: st.head, Head: head}, twin)
	for id, o := range c.seen {
		if st.vector.includes(id, o) {
			continue
		}
		e := wire.VectorEntry{ID: id, Mark: o.mark}
		seen, change := seqSet{}, RowChange{RowName: RowName{SnapshotVector, string(wire.VectorRowName(id))}}
		if stored := st.vector[id]; stored != nil {
			change.Was, e.Mark = stored.row, max(stored.mark, o.mark)
			seen = stored.seen.clone()
		}
		seen.join(&o.seen, nil)
		e.Head, e.Spans = seen.head, seen.above()
		change.Head = wire.AppendVectorHead(nil, &e)
		changes = append(changes, change)
	}
	for id, o := range st.vector {
		if c.seen[id] == nil && o.row != nil && (st.lost || slices.Contains(c.forgotten, id)) {
			changes = append(changes, RowChange{RowName: RowName{SnapshotVector, string(wire.VectorRowName(id))}, Was: o.row})
		}
	}
	return append(changes, st.strange...)
}
