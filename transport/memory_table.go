package transport

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/podshare/podshare"
)

// memoryScanRows is how many rows a step of a scan has.
const memoryScanRows = 500

// memoryTables keeps the snapshot rows of each topic. Slices are copied on the way in and on the way out.
type memoryTables struct {
	// mu guards byTopic, and with it the rows.
	mu      sync.Mutex
	byTopic map[string]map[podshare.RowName]memoryRow // nil once closed
}

// memoryRow is never changed, only replaced; head is not empty.
type memoryRow struct{ head, body []byte }

func (ts *memoryTables) init() { ts.byTopic = map[string]map[podshare.RowName]memoryRow{} }

// close forgets everything.
func (ts *memoryTables) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.byTopic = nil
}

// heads returns copies of the heads of the named rows.
func (ts *memoryTables) heads(topic string, names []podshare.RowName) ([][]byte, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTopic == nil {
		return nil, ErrClosed
	}
	heads := make([][]byte, len(names))
	for i, name := range names {
		heads[i] = bytes.Clone(ts.byTopic[topic][name].head)
	}
	return heads, nil
}

// swap makes all changes or none.
func (ts *memoryTables) swap(topic string, changes []podshare.RowChange) (bool, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTopic == nil {
		return false, ErrClosed
	}
	rows := ts.byTopic[topic]
	for _, c := range changes {
		if !bytes.Equal(rows[c.RowName].head, c.Was) {
			return false, nil
		}
	}
	if rows == nil {
		rows = map[podshare.RowName]memoryRow{}
		ts.byTopic[topic] = rows
	}
	for _, c := range changes {
		switch {
		case len(c.Head) == 0:
			delete(rows, c.RowName)
		case !bytes.Equal(c.Head, c.Was):
			rows[c.RowName] = memoryRow{bytes.Clone(c.Head), bytes.Clone(c.Body)}
		}
	}
	return true, nil
}

// named returns copies of the named rows.
func (ts *memoryTables) named(topic string, names []podshare.RowName) ([]podshare.SnapshotRow, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTopic == nil {
		return nil, ErrClosed
	}
	rows := make([]podshare.SnapshotRow, len(names))
	for i, name := range names {
		r := ts.byTopic[topic][name]
		rows[i] = podshare.SnapshotRow{Key: name.Key, Head: bytes.Clone(r.head), Body: bytes.Clone(r.body)}
	}
	return rows, nil
}

// keys returns the keys of a section.
func (ts *memoryTables) keys(topic string, section podshare.SnapshotSection) ([]string, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTopic == nil {
		return nil, ErrClosed
	}
	var keys []string
	for name := range maps.Keys(ts.byTopic[topic]) {
		if name.Section == section {
			keys = append(keys, name.Key)
		}
	}
	return keys, nil
}

// rows returns copies of the rows that are there of those with the given keys.
func (ts *memoryTables) rows(topic string, section podshare.SnapshotSection, keys []string) ([]podshare.SnapshotRow, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byTopic == nil {
		return nil, ErrClosed
	}
	rows := make([]podshare.SnapshotRow, 0, len(keys))
	for _, key := range keys {
		if r, ok := ts.byTopic[topic][podshare.RowName{Section: section, Key: key}]; ok {
			rows = append(rows, podshare.SnapshotRow{Key: key, Head: bytes.Clone(r.head), Body: bytes.Clone(r.body)})
		}
	}
	return rows, nil
}

// SnapshotHeads implements [podshare.SnapshotTable]. Errors are those of [MemoryTransport.Publish].
func (m *MemoryTransport) SnapshotHeads(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
	if err := m.check(ctx, topic); err != nil {
		return nil, err
	}
	return m.tables.heads(topic, names)
}

// SnapshotRows implements [podshare.SnapshotTable]. Errors are those of [MemoryTransport.Publish].
func (m *MemoryTransport) SnapshotRows(
	ctx context.Context, topic string, names []podshare.RowName,
) ([]podshare.SnapshotRow, error) {
	if err := m.check(ctx, topic); err != nil {
		return nil, err
	}
	return m.tables.named(topic, names)
}

// SwapSnapshotRows implements [podshare.SnapshotTable]. Errors are those of [MemoryTransport.Publish].
func (m *MemoryTransport) SwapSnapshotRows(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
	if err := m.check(ctx, topic); err != nil {
		return false, err
	}
	return m.tables.swap(topic, changes)
}

// ScanSnapshot implements [podshare.SnapshotTable]: steps of 500 rows at most. Errors are those of
// [MemoryTransport.Publish], and fn's.
func (m *MemoryTransport) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func(rows []podshare.SnapshotRow) error,
) error {
	if err := m.check(ctx, topic); err != nil {
		return err
	}
	keys, err := m.tables.keys(topic, section)
	if err != nil {
		return err
	}
	for step := range slices.Chunk(keys, memoryScanRows) {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := m.tables.rows(topic, section, step)
		if err != nil {
			return err
		}
		if err := fn(rows); err != nil {
			return err
		}
	}
	return nil
}

var _ podshare.SnapshotTable = (*MemoryTransport)(nil)
