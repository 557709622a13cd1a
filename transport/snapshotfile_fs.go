package transport

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// snapshotFS is what snapshot files need of a file system. Names are paths. Tests let it fail.
type snapshotFS interface {
	// mkdir makes a directory unless it is there, durably.
	mkdir(name string) error
	// create opens a file for writing, empty.
	create(name string) (syncWriteCloser, error)
	open(name string) (fs.File, error)
	exists(name string) bool
	// rename moves a file in the place of another, if there is one; the directory must be synced.
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

type syncWriteCloser interface {
	io.WriteCloser
	Sync() error
}

// osSnapshotFS is the file system of the operating system. Files are for their owner only.
type osSnapshotFS struct{}

func (osSnapshotFS) open(name string) (fs.File, error) { return os.Open(name) } //nolint:gosec // a path that the user chose
func (osSnapshotFS) rename(from, to string) error      { return os.Rename(from, to) }
func (osSnapshotFS) remove(name string) error          { return os.Remove(name) }

func (osSnapshotFS) create(name string) (syncWriteCloser, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // a path that the user chose
}

func (osSnapshotFS) exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (o osSnapshotFS) mkdir(name string) error {
	err := os.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return o.syncDir(filepath.Dir(name))
}

// syncDir makes names durable. Windows has no such call, and writes its journal of names by itself.
func (osSnapshotFS) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name) //nolint:gosec // a path that the user chose
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
