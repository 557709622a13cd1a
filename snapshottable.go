package podshare

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// tableSnapshot keeps a store's state in a table of rows that all stores of the topic share. It moves what changed.
//
// A merge reads the heads of the rows concerned, joins them with the state of one moment (see rows.go), and swaps rows
// and vector in one step, unless another store was faster; then it begins anew. What does not fit into one step goes in
// three: rows are added beside what the table holds; then the vector, which makes them count; then what is dead goes.
// At every moment the table is a state that some store could have had, so whoever stops half-way does no harm.
//
// Everything is compared, not only what changed, when the table does not cover any more what this store knows it did
// (it was lost, or is an older copy), when it is damaged, and when it has not seen a delete that was collected here:
// nobody knows its key any more.
//
// The snapshotter owns it, and Close after that has ended; but load may be called at any time.
type tableSnapshot[T any] struct {
	table  SnapshotTable
	topic  string
	codec  *codec[T]
	limits *Limits
	host   tableHost[T]
	broken atomic.Bool // a row was found that is not what was stored

	pending map[string]bool // keys to merge: whether they changed quietly
	all     bool            // every key is to be compared
	covered tableVector     // what the table covered when this store merged or loaded last
	looked  bool            // the vector was read whole, and nothing happened since that asks for it anew
	missing tableVector     // what the table covered, when looked at, and this store did not
	tried   tableVector     // what it covered when that was loaded last: what is missing still is refused here

	maxRows int // of a step
	pause   func(ctx context.Context, d time.Duration) error
}

// tableHost is whose state is stored.
type tableHost[T any] interface {
	// with calls fn with the replica, locked, and sees to what follows from it. The error is ErrClosed.
	with(fn func(r *replica[T], at instant)) error
	report(err error)
	stored(bytes int)
}

func newTableSnapshot[T any](table SnapshotTable, s *Store[T]) *tableSnapshot[T] {
	return &tableSnapshot[T]{
		table: table, topic: s.channel, codec: &s.core.cfg.codec, limits: &s.cfg.limits, host: s,
		pending: map[string]bool{}, maxRows: maxSwapRows, pause: pause,
	}
}

// store merges the store into the table.
func (t *tableSnapshot[T]) store(ctx context.Context, _ bool) error {
	written, err := t.merge(ctx)
	if written > 0 {
		t.host.stored(written)
	}
	return err
}

// Bounds of a step: so many rows, and so many bytes of what they become. Only what must be seen at once may be more.
const (
	maxSwapRows  = 4096
	maxSwapBytes = 4 << 20
)

// maxMergeTries is how often a merge begins anew because another store was faster.
const maxMergeTries = 16

// Errors of a merge that begins anew.
var (
	errOvertaken = errors.New("podshare: the stored rows kept changing")
	errTooMuch   = errors.New("podshare: more than fits into one step")
)

// merge adds to the table what it lacks, and returns how many bytes it wrote.
func (t *tableSnapshot[T]) merge(ctx context.Context) (written int, err error) {
	for try := range maxMergeTries {
		if written, err = t.tryMerge(ctx); !errors.Is(err, errOvertaken) {
			return written, err
		}
		if err := t.pause(ctx, jitter(try)); err != nil {
			return 0, err
		}
	}
	return 0, t.wrap(err)
}

func jitter(try int) time.Duration { return rand.N(time.Millisecond << min(try, 6)) } //nolint:gosec // jitter

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tableSnapshot[T]) tryMerge(ctx context.Context) (written int, err error) {
	c, err := t.capture(false)
	if err != nil {
		return 0, err
	}
	st, err := t.read(ctx, c)
	if err != nil || st.foreign {
		return 0, err
	}
	if st.lost || t.incomplete(c, st) {
		t.all = true // also if this fails
		if !st.whole {
			if st, err = t.readWhole(ctx); err != nil || st.foreign {
				return 0, err
			}
		}
		if c, err = t.compareAll(ctx, st); err != nil {
			return 0, err
		}
	} else {
		c.rows = slices.DeleteFunc(c.rows, func(row keyState[T]) bool { return c.settled(&row, st.vector) })
	}
	m := &tableMerge[T]{tableSnapshot: t, c: c, st: st}
	err = m.run(ctx)
	for _, err := range c.errs {
		t.host.report(err)
	}
	if err != nil {
		return 0, err
	}
	t.pending, t.all, t.covered, t.looked = c.failed, false, c.seen, t.looked || st.whole
	if st.lost {
		t.broken.Store(false)
	}
	return m.written, nil
}

// compareAll captures the state of all keys, here and in the table, after taking in what is there. Rows that cannot be
// read are taken out first, and with them the row without which a table covers nothing: their absence says nothing then.
func (t *tableSnapshot[T]) compareAll(ctx context.Context, st *tableState) (c *rowCapture[T], err error) {
	var unreadable []RowChange
	err = t.scan(ctx, func(row *SnapshotRow, damaged bool) {
		t.pending[row.Key] = true
		if damaged {
			unreadable = append(unreadable, RowChange{RowName: RowName{SnapshotEntries, row.Key}, Was: row.Head})
		}
	})
	if err != nil {
		return nil, err
	}
	head := st.head
	for rows := range slices.Chunk(unreadable, t.maxRows) {
		changes := append(slices.Clip(rows), RowChange{RowName: RowName{SnapshotVector, ""}, Was: head})
		if _, err := t.table.SwapSnapshotRows(ctx, t.topic, changes); err != nil {
			return nil, t.wrap(err)
		}
		head = nil
	}
	if len(unreadable) > 0 {
		return nil, errOvertaken // by this
	}
	if t.broken.Load() {
		st.lost = true
		st.judge()
	}
	if c, err = t.capture(true); err == nil {
		c.walk(t.pending)
	}
	return c, err
}

// capture fixes the state to merge, and takes over what changed since the last time.
func (t *tableSnapshot[T]) capture(all bool) (c *rowCapture[T], err error) {
	err = t.host.with(func(r *replica[T], at instant) {
		if r.unstored.collect(t.pending) || len(t.pending) > r.maxChanged() && !all {
			t.all = true
			clear(t.pending) // a full comparison finds them
		}
		t.covered = t.covered.joined(r.unstored.loaded)
		r.unstored.loaded = nil
		c = r.captureRows(at, t.pending, all)
	})
	return c, err
}

// incomplete reports whether the table lacks what this store knows it had, or has not seen a delete that was collected
// here. Then everything is to be compared.
func (t *tableSnapshot[T]) incomplete(c *rowCapture[T], st *tableState) bool {
	if t.all {
		return true
	}
	for id, o := range c.seen {
		if !st.whole && t.covered.includes(id, o) {
			continue
		}
		stored := st.vector[id]
		if o.mark > 0 && (stored == nil || stored.mark < o.mark && stored.seen.head < o.mark) {
			return true
		}
	}
	for id, o := range t.covered {
		if !st.vector.includes(id, o) && !slices.Contains(c.forgotten, id) {
			return true
		}
	}
	return false
}
