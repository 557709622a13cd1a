package bench

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/podshare/podshare"
)

// meter counts what one store hands to its transport and takes from it as snapshots, and can cut it off. A
// transport's optional interfaces are hidden by it: what goes through them would not be counted. When the root
// package makes use of one, it gets a method here.
type meter struct {
	podshare.Transport
	cut        atomic.Bool // publishes are lost
	noSnapshot bool        // nothing is stored; there never is a snapshot

	frames, bytes   atomic.Int64 // published, to all and to single nodes
	inbox           atomic.Int64 // bytes of those to single nodes
	stored, fetched atomic.Int64 // bytes of snapshots
	snapshots       atomic.Int64 // that were stored
}

// nowhere returns a transport that loses everything.
func nowhere(b testing.TB) *meter {
	b.Helper()
	m := &meter{Transport: newMemory(b), noSnapshot: true}
	m.cut.Store(true)
	return m
}

func (m *meter) Publish(ctx context.Context, topic string, msg []byte) error {
	if m.cut.Load() {
		return nil
	}
	m.frames.Add(1)
	m.bytes.Add(int64(len(msg)))
	if strings.Contains(topic, "@:") { // an inbox
		m.inbox.Add(int64(len(msg)))
	}
	return m.Transport.Publish(ctx, topic, msg)
}

func (m *meter) Snapshot(ctx context.Context, topic string, data []byte) error {
	defer m.snapshots.Add(1)
	m.stored.Add(int64(len(data)))
	if m.noSnapshot {
		return nil
	}
	return m.Transport.Snapshot(ctx, topic, data)
}

func (m *meter) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if m.noSnapshot {
		return nil, nil
	}
	data, err := m.Transport.FetchSnapshot(ctx, topic)
	m.fetched.Add(int64(len(data)))
	return data, err
}

// rowMeter is a meter that lets the rows of a snapshot pass, and counts them.
type rowMeter struct {
	*meter
	table podshare.SnapshotTable
}

func (m *rowMeter) SnapshotHeads(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
	heads, err := m.table.SnapshotHeads(ctx, topic, names)
	for i, head := range heads {
		m.stored.Add(int64(len(names[i].Key))) // the question
		m.fetched.Add(int64(len(head)))
	}
	return heads, err
}

func (m *rowMeter) SnapshotRows(ctx context.Context, topic string, names []podshare.RowName) ([]podshare.SnapshotRow, error) {
	rows, err := m.table.SnapshotRows(ctx, topic, names)
	m.fetched.Add(rowBytes(rows))
	return rows, err
}

func (m *rowMeter) SwapSnapshotRows(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
	defer m.snapshots.Add(1)
	for _, c := range changes {
		m.stored.Add(int64(len(c.Key) + len(c.Was) + len(c.Head) + len(c.Body)))
	}
	return m.table.SwapSnapshotRows(ctx, topic, changes)
}

func (m *rowMeter) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func(rows []podshare.SnapshotRow) error,
) error {
	return m.table.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
		m.fetched.Add(rowBytes(rows))
		return fn(rows)
	})
}

// full is the size of all rows.
func (m *rowMeter) full(ctx context.Context) (n int64, err error) {
	for _, section := range []podshare.SnapshotSection{podshare.SnapshotVector, podshare.SnapshotEntries} {
		err = errors.Join(err, m.table.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
			n += rowBytes(rows)
			return nil
		}))
	}
	return n, err
}

func rowBytes(rows []podshare.SnapshotRow) (n int64) {
	for i := range rows {
		n += int64(len(rows[i].Key) + len(rows[i].Head) + len(rows[i].Body))
	}
	return n
}
