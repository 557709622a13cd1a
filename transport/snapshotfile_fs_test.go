package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultyFS is the real file system until its failAt-th step that changes something, which fails.
type faultyFS struct {
	osSnapshotFS
	failAt  int  // counts from 1; 0: never
	crashes bool // so does every later step: the process is gone
	steps   int
}

var errInjected = errors.New("injected: disk full")

func (f *faultyFS) step() error {
	f.steps++
	if f.failAt > 0 && (f.steps == f.failAt || f.crashes && f.steps > f.failAt) {
		return errInjected
	}
	return nil
}

func (f *faultyFS) create(name string) (syncWriteCloser, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	w, err := f.osSnapshotFS.create(name)
	return &faultyFile{w, f}, err
}

func (f *faultyFS) rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osSnapshotFS.rename(from, to)
}

func (f *faultyFS) remove(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osSnapshotFS.remove(name)
}

func (f *faultyFS) syncDir(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.osSnapshotFS.syncDir(name)
}

type faultyFile struct {
	syncWriteCloser
	fs *faultyFS
}

// Write that fails has written half.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.syncWriteCloser.Write(p[:len(p)/2])
		return n, err
	}
	return f.syncWriteCloser.Write(p)
}

func (f *faultyFile) Sync() error { return errors.Join(f.fs.step(), f.syncWriteCloser.Sync()) }

func (f *faultyFile) Close() error { return errors.Join(f.fs.step(), f.syncWriteCloser.Close()) }

// openDir returns the snapshots of a directory on a file system, until the test ends.
func openDir(t *testing.T, path string, fsys snapshotFS) *snapshotDir {
	t.Helper()
	d := &snapshotDir{}
	d.init(path)
	d.fs = fsys
	d.onError = func(err error) { t.Error(err) }
	require.NoError(t, d.open())
	t.Cleanup(func() { _ = d.close() })
	return d
}

// storeSteps is what storing asks of the file system: create, write twice, sync, close, rename twice, sync the
// directory.
const storeSteps = 8

// Whichever step fails, Snapshot says so, what was stored is still there, and the next Snapshot succeeds.
func TestSnapshotFileFailedStepKeepsTheOldSnapshot(t *testing.T) {
	for failAt := 1; failAt <= storeSteps; failAt++ {
		t.Run(fmt.Sprint("step ", failAt), func(t *testing.T) {
			path := t.TempDir()
			fsys := &faultyFS{}
			d := openDir(t, path, fsys)
			require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("oldest")))
			require.Equal(t, storeSteps, fsys.steps)
			require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("old")))

			for range 3 { // however often
				fsys.steps, fsys.failAt = 0, failAt
				require.ErrorIs(t, d.Snapshot(t.Context(), "topic", []byte("new")), errInjected)
				fsys.failAt = 0
				data, err := d.FetchSnapshot(t.Context(), "topic")
				require.NoError(t, err)
				if failAt < storeSteps {
					require.Equal(t, "old", string(data))
				} else {
					require.Equal(t, "new", string(data), "all but the last step was done")
				}
				_, err = os.Stat(filepath.Join(path, "topic-topic.snapshot.tmp"))
				require.ErrorIs(t, err, fs.ErrNotExist, "what is not used takes room")
			}
			require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("newest")))
			data, err := d.FetchSnapshot(t.Context(), "topic")
			require.NoError(t, err)
			require.Equal(t, "newest", string(data))
		})
	}
}

// A process may end before any step: the next one finds the old snapshot or the new one, and nothing damaged.
func TestSnapshotFileCrashAtAnyStepKeepsASnapshot(t *testing.T) {
	for failAt := 1; failAt <= storeSteps; failAt++ {
		t.Run(fmt.Sprint("step ", failAt), func(t *testing.T) {
			path := t.TempDir()
			fsys := &faultyFS{}
			crashed := openDir(t, path, fsys)
			require.NoError(t, crashed.Snapshot(t.Context(), "topic", []byte("oldest")))
			require.NoError(t, crashed.Snapshot(t.Context(), "topic", []byte("old")))
			fsys.steps, fsys.failAt, fsys.crashes = 0, failAt, true
			require.Error(t, crashed.Snapshot(t.Context(), "topic", []byte("new")))
			require.NoError(t, crashed.close()) // only the lock

			d := openDir(t, path, osSnapshotFS{})
			data, err := d.FetchSnapshot(t.Context(), "topic")
			require.NoError(t, err)
			require.Contains(t, []string{"old", "new"}, string(data))
			require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("newest")))
			data, err = d.FetchSnapshot(t.Context(), "topic")
			require.NoError(t, err)
			require.Equal(t, "newest", string(data))
		})
	}
}

// unopenable refuses to open files.
type unopenable struct{ osSnapshotFS }

func (unopenable) open(string) (fs.File, error) { return nil, fs.ErrPermission }

// What cannot be opened may be sound: it is an error, and not set aside.
func TestSnapshotFileThatCannotBeOpenedIsAnError(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path, unopenable{})
	require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("state")))
	_, err := d.FetchSnapshot(t.Context(), "topic")
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NoError(t, d.close())

	data, err := openDir(t, path, osSnapshotFS{}).FetchSnapshot(t.Context(), "topic")
	require.NoError(t, err)
	require.Equal(t, "state", string(data))
}

// unreadable opens files of which nothing can be read.
type unreadable struct{ osSnapshotFS }

type unreadableFile struct{ fs.File }

func (unreadableFile) Read([]byte) (int, error) { return 0, syscall.EIO }

func (u unreadable) open(name string) (fs.File, error) {
	f, err := u.osSnapshotFS.open(name)
	return unreadableFile{f}, err
}

func TestSnapshotFileThatCannotBeReadIsDamaged(t *testing.T) {
	d := openDir(t, t.TempDir(), unreadable{})
	var reports []error
	d.onError = func(err error) { reports = append(reports, err) }
	require.NoError(t, d.Snapshot(t.Context(), "topic", []byte("state")))
	data, err := d.FetchSnapshot(t.Context(), "topic")
	require.NoError(t, err)
	require.Nil(t, data)
	require.Len(t, reports, 1)
	require.ErrorIs(t, reports[0], ErrSnapshotDamaged)
	require.ErrorIs(t, reports[0], syscall.EIO)
}

// The format is one that later releases must read.
func TestSnapshotFileFormatGolden(t *testing.T) {
	const golden = "podsnap\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x01\x55\x8f\x6a" + "state"
	file := append(snapshotFileHeader("topic", []byte("state")), "state"...)
	require.Equal(t, golden, string(file))
	require.Equal(t, "topic-a%2fb%40%41_1-z.snapshot", snapshotFileName("a/b@A_1-z"))
}
