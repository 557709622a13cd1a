package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/podshare/podshare"
)

// SnapshotFileTransport is a transport whose snapshots are also kept in files of this pod: they survive a
// restart of the whole fleet, and the loss of wherever the wrapped transport keeps its own. [WithSnapshotFile]
// makes one. Frames go through the wrapped transport as they are.
//
// A store uses the files and the wrapped transport's snapshots side by side ([podshare.SnapshotKeeper]): it
// starts from both, and adds to each what is missing there, whatever becomes of the other. A file holds the
// whole state and is durable when the store has stored it. So a fleet whose pods all die at once loses no more
// than the writes of the last moments: what [podshare.WithSnapshotInterval] lets gather, and the storing itself.
// The writes of others reach a pod's file 10 to 20 intervals later, and are then on more than one disk.
//
// For each topic there are two files: the newest state, which is always whole and may be copied at any time,
// and the one before. A file that is damaged (its checksum is wrong, or it cannot be read to its end) is set
// aside under a name that ends in .damaged-1 to .damaged-3, and reported; the one before takes its place. If
// that is damaged too, the pod starts without, as a new one does. A file that cannot be opened is an error: the
// store does not start.
//
// All methods are safe for concurrent use. It runs no goroutine.
type SnapshotFileTransport struct {
	inner podshare.Transport
	files snapshotDir
	close func() error // does it once
}

// A SnapshotFileOption configures [WithSnapshotFile].
type SnapshotFileOption func(*SnapshotFileTransport)

// WithSnapshotFileLimit sets how many bytes a snapshot may have. A larger one is refused with
// [ErrSnapshotTooLarge]; a larger file counts as damaged. The default, also for zero and below, is 2 GiB - 1,
// the most that a store reads.
func WithSnapshotFileLimit(maxBytes int64) SnapshotFileOption {
	return func(t *SnapshotFileTransport) {
		if maxBytes <= 0 {
			maxBytes = defaultMaxSnapshotBytes
		}
		t.files.maxBytes = maxBytes
	}
}

// WithSnapshotFileOnError sets the function that hears of damaged files, by an error that wraps
// [ErrSnapshotDamaged]. It runs on the caller's goroutine, with no lock held: it may use the transport, but not
// close a Store. A panic in it is discarded. By default, and with nil, only the names in the directory tell of them. What a method
// returns is not reported.
func WithSnapshotFileOnError(fn func(error)) SnapshotFileOption {
	return func(t *SnapshotFileTransport) { t.files.onError = fn }
}

// WithSnapshotFile wraps t, which may be any transport, and keeps its snapshots in files of dir as well. The
// directory is made if only it is missing, not its parents: they would hide that a volume is not mounted. It
// belongs to one transport at a time; another that is open, in this process or in another, makes this one fail
// with [ErrSnapshotDirInUse]. (The lock is the kernel's and ends with the process. There is none on systems that
// have neither flock nor Windows' sharing modes.)
//
// The directory is this pod's own: give each pod one, on a disk that outlives it, with room for three states per
// topic. A disk that hangs holds up the store's snapshots and its Close; reads and writes of the store go on.
// To write less, make the store's snapshot interval longer: it is the pace at which files are written, at most.
//
// Close closes t too. After an error t is as it was.
func WithSnapshotFile(t podshare.Transport, dir string, opts ...SnapshotFileOption) (*SnapshotFileTransport, error) {
	switch {
	case t == nil:
		return nil, errors.New("transport: no transport to wrap")
	case dir == "":
		return nil, errors.New("transport: no directory for snapshots")
	}
	w := &SnapshotFileTransport{inner: t}
	w.files.init(dir)
	for _, opt := range opts {
		opt(w)
	}
	if err := w.files.open(); err != nil {
		return nil, fmt.Errorf("transport: snapshot directory: %w", err)
	}
	w.close = sync.OnceValue(func() error { return errors.Join(t.Close(), w.files.close()) })
	return w, nil
}

// Unwrap returns the wrapped transport.
func (t *SnapshotFileTransport) Unwrap() podshare.Transport { return t.inner }

// OwnSnapshots returns the files, without the wrapped transport's snapshots. Its Snapshot returns when data is
// durable. If it fails, what was stored before is still there, and storing may be tried again. Its errors are
// [ErrClosed], [ErrEmptyTopic], [ErrSnapshotTooLarge], that of a ctx that ended before it was the call's turn,
// and those of the file system.
func (t *SnapshotFileTransport) OwnSnapshots() podshare.SnapshotStore { return &t.files }

// Publish is that of the wrapped transport.
func (t *SnapshotFileTransport) Publish(ctx context.Context, topic string, msg []byte) error {
	return t.inner.Publish(ctx, topic, msg)
}

// Subscribe is that of the wrapped transport.
func (t *SnapshotFileTransport) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	return t.inner.Subscribe(ctx, topic)
}

// Snapshot stores data in the file of topic and in the wrapped transport. Both are tried, and the errors of
// both returned: after one, the other may hold data.
func (t *SnapshotFileTransport) Snapshot(ctx context.Context, topic string, data []byte) error {
	return errors.Join(t.files.Snapshot(ctx, topic, data), t.inner.Snapshot(ctx, topic, data))
}

// FetchSnapshot returns the wrapped transport's snapshot, which all pods share, and that of the file only if
// there is none. One cannot replace the other: who merges snapshots reads both, as stores do, through
// [SnapshotFileTransport.OwnSnapshots] and [SnapshotFileTransport.Unwrap].
func (t *SnapshotFileTransport) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	data, err := t.inner.FetchSnapshot(ctx, topic)
	if err != nil || len(data) > 0 {
		return data, err
	}
	return t.files.FetchSnapshot(ctx, topic)
}

// Close closes the wrapped transport, waits for the files that are being written or read, and leaves the
// directory to others. Further calls wait for the first and return what it returned.
func (t *SnapshotFileTransport) Close() error { return t.close() }
