package podshare

import (
	"context"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

// simTable is the stored table of the simulation.
type simTable struct{ *sim.Table }

func (t simTable) SnapshotHeads(_ context.Context, _ string, names []RowName) (heads [][]byte, err error) {
	for _, n := range names {
		row, err := t.Read(simRow(n))
		if err != nil {
			return nil, err
		}
		heads = append(heads, row.Head)
	}
	return heads, nil
}

func (t simTable) SnapshotRows(_ context.Context, _ string, names []RowName) (rows []SnapshotRow, err error) {
	for _, n := range names {
		row, err := t.Read(simRow(n))
		if err != nil {
			return nil, err
		}
		rows = append(rows, SnapshotRow{Key: n.Key, Head: row.Head, Body: row.Body})
	}
	return rows, nil
}

func (t simTable) SwapSnapshotRows(_ context.Context, _ string, changes []RowChange) (bool, error) {
	made := make([]sim.RowChange, len(changes))
	for i, c := range changes {
		made[i] = sim.RowChange{RowName: simRow(c.RowName), Was: c.Was, Row: sim.Row{Head: c.Head, Body: c.Body}}
	}
	return t.Swap(made)
}

func (t simTable) ScanSnapshot(
	ctx context.Context, topic string, section SnapshotSection, fn func(rows []SnapshotRow) error,
) error {
	keys, err := t.Section(string(section))
	if err != nil {
		return err
	}
	for _, key := range keys {
		rows, err := t.SnapshotRows(ctx, topic, []RowName{{section, key}})
		if err == nil && rows[0].Head != nil {
			err = fn(rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func simRow(n RowName) sim.RowName { return sim.RowName{Section: string(n.Section), Key: n.Key} }

// simHost is a machine at one moment, as its table needs it.
type simHost[T any] struct {
	m  *simMachine[T]
	at instant
}

func (h *simHost[T]) with(fn func(r *replica[T], at instant)) error {
	fn(h.m.r, h.at)
	return nil
}

func (h *simHost[T]) report(err error) { h.m.r.report(err) }
func (h *simHost[T]) stored(int)       {}

// tableAt returns the machine's table. Its steps are so small that most merges take several.
func (m *simMachine[T]) tableAt(at sim.Instant, t *sim.Table) *tableSnapshot[T] {
	if m.table == nil {
		m.table = &tableSnapshot[T]{
			table: simTable{t}, codec: &m.r.cfg.codec, limits: &m.r.cfg.limits, host: &simHost[T]{m: m},
			pending: map[string]bool{}, maxRows: 4, pause: func(context.Context, time.Duration) error { return nil },
		}
	}
	m.table.host.(*simHost[T]).at = clocks(at)
	return m.table
}

func (m *simMachine[T]) MergeTable(at sim.Instant, t *sim.Table, look bool) error {
	table := m.tableAt(at, t)
	table.looked = table.looked && !look
	_, err := table.merge(context.Background())
	return err
}

func (m *simMachine[T]) LoadTable(at sim.Instant, t *sim.Table) error {
	return m.tableAt(at, t).scan(context.Background(), nil)
}
