package transport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
)

// defaultMaxSnapshotBytes is the most that a store reads.
const defaultMaxSnapshotBytes = 1<<31 - 1

// snapshotDir is a directory of snapshot files. It is a podshare.SnapshotStore.
type snapshotDir struct {
	path     string
	fs       snapshotFS
	maxBytes int64 // of data
	onError  func(error)
	lock     io.Closer // keeps others out while it is open

	mu     sync.Mutex // guards the rest; nothing waits while holding it
	closed bool
	files  map[string]*snapshotFile // by topic; one is never removed
	busy   sync.WaitGroup           // calls that use files; none is added once closed is set
}

func (d *snapshotDir) init(path string) {
	d.path = path
	d.fs = osSnapshotFS{}
	d.maxBytes = defaultMaxSnapshotBytes
	d.files = map[string]*snapshotFile{}
}

// open takes possession of the directory.
func (d *snapshotDir) open() (err error) {
	if d.path, err = filepath.Abs(d.path); err != nil { // the process may change its own
		return err
	}
	if err := d.fs.mkdir(d.path); err != nil {
		return err
	}
	d.lock, err = lockFile(filepath.Join(d.path, "lock"))
	return err
}

// close waits for the calls that are under way.
func (d *snapshotDir) close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.busy.Wait()
	return d.lock.Close()
}

// Snapshot stores data as the snapshot of topic; it is durable then.
func (d *snapshotDir) Snapshot(ctx context.Context, topic string, data []byte) error {
	if int64(len(data)) > d.maxBytes {
		return ErrSnapshotTooLarge
	}
	f, err := d.take(ctx, topic)
	if err != nil {
		return err
	}
	defer d.release(f)
	return f.store(data)
}

// FetchSnapshot returns the snapshot of topic, nil if there is none.
func (d *snapshotDir) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	f, err := d.take(ctx, topic)
	if err != nil {
		return nil, err
	}
	data, damaged, err := f.load(d.maxBytes)
	d.release(f)
	for _, err := range damaged {
		d.report(err)
	}
	return data, err
}

// take waits for the turn of one call at the file of a topic. The caller releases it.
func (d *snapshotDir) take(ctx context.Context, topic string) (*snapshotFile, error) {
	f, err := d.enter(ctx, topic)
	if err != nil {
		return nil, err
	}
	select {
	case f.turn <- struct{}{}:
		return f, nil
	case <-ctx.Done():
		d.busy.Done()
		return nil, ctx.Err()
	}
}

func (d *snapshotDir) release(f *snapshotFile) {
	<-f.turn
	d.busy.Done()
}

func (d *snapshotDir) enter(ctx context.Context, topic string) (*snapshotFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, ErrClosed
	case topic == "":
		return nil, ErrEmptyTopic
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	f := d.files[topic]
	if f == nil {
		f = newSnapshotFile(d.fs, d.path, topic)
		d.files[topic] = f
	}
	d.busy.Add(1)
	return f, nil
}

// report calls the error handler; the caller holds no lock and no turn.
func (d *snapshotDir) report(err error) {
	if d.onError == nil {
		return
	}
	defer func() { _ = recover() }() // there is nobody left to tell
	d.onError(err)
}

// ignoreMissing is for what need not be there.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
