package sim

import (
	"bytes"
	"errors"
	"maps"
	"slices"
)

// Table is a snapshot that pods keep in rows, and what can happen to it.
type Table struct {
	Fails bool // reads and swaps fail

	world *World
	rows  map[RowName]Row
	past  []map[RowName]Row
	busy  bool // a pod merges because another is about to swap

	damaged bool // a row was, once
}

// RowName names a row.
type RowName struct{ Section, Key string }

// Row is what a row holds. It is never changed, only replaced.
type Row struct{ Head, Body []byte }

// RowChange is a change of a row, made if its head is Was; without a Head the row goes.
type RowChange struct {
	RowName
	Was []byte
	Row
}

var errTable = errors.New("the table cannot be reached")

// Read returns a row.
func (t *Table) Read(name RowName) (Row, error) {
	if t.Fails {
		return Row{}, errTable
	}
	return t.rows[name], nil
}

// Section returns the keys of a section, in order.
func (t *Table) Section(section string) (keys []string, err error) {
	if t.Fails {
		return nil, errTable
	}
	for name := range t.rows {
		if name.Section == section {
			keys = append(keys, name.Key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// Swap makes all changes or none. Often another pod is faster; sometimes nobody hears of what was done.
func (t *Table) Swap(changes []RowChange) (bool, error) {
	w := t.world
	if live := w.Live(); !t.busy && w.rng.IntN(8) == 0 {
		t.busy = true
		live[w.rng.IntN(len(live))].Persist()
		t.busy = false
	}
	if t.Fails || w.rng.IntN(40) == 0 {
		return false, errTable
	}
	for _, c := range changes {
		if !bytes.Equal(t.rows[c.RowName].Head, c.Was) {
			return false, nil
		}
	}
	t.keep()
	for _, c := range changes {
		switch {
		case c.Head == nil:
			delete(t.rows, c.RowName)
		case !bytes.Equal(c.Head, c.Was):
			t.rows[c.RowName] = c.Row
		}
	}
	if w.rng.IntN(40) == 0 {
		return false, errTable
	}
	return true, nil
}

// keep remembers the rows as they are, so that they can be rolled back.
func (t *Table) keep() {
	if len(t.past) > 50 {
		t.past = t.past[1:]
	}
	t.past = append(t.past, maps.Clone(t.rows))
}

// Flush loses everything.
func (t *Table) Flush() {
	t.keep()
	clear(t.rows)
}

// RollBack restores what was held n swaps ago.
func (t *Table) RollBack(n int) {
	if len(t.past) > 0 {
		t.rows = maps.Clone(t.past[max(len(t.past)-n, 0)])
	}
}

// Damage flips a bit of a row.
func (t *Table) Damage() {
	names := slices.SortedFunc(maps.Keys(t.rows), func(a, b RowName) int {
		return slices.Compare([]string{a.Section, a.Key}, []string{b.Section, b.Key})
	})
	if len(names) == 0 {
		return
	}
	t.keep()
	t.damaged = true
	name := names[t.world.rng.IntN(len(names))]
	row := t.rows[name]
	part := &row.Head
	if len(row.Body) > 0 && t.world.rng.IntN(2) == 0 {
		part = &row.Body
	}
	*part = slices.Clone(*part)
	i := t.world.rng.IntN(8 * len(*part))
	(*part)[i/8] ^= 1 << (i % 8)
	t.rows[name] = row
	t.world.Tracef("damage to row %q of the %s", name.Key, name.Section)
}
