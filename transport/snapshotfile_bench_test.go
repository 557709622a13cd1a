package transport

import (
	"fmt"
	"testing"
)

// unsynced leaves it to the system when files become durable.
type unsynced struct{ osSnapshotFS }

func (u unsynced) create(name string) (syncWriteCloser, error) {
	w, err := u.osSnapshotFS.create(name)
	return unsyncedFile{w}, err
}

func (unsynced) syncDir(string) error { return nil }

type unsyncedFile struct{ syncWriteCloser }

func (unsyncedFile) Sync() error { return nil }

func benchSnapshotFile(b *testing.B, use func(b *testing.B, d *snapshotDir, data []byte)) {
	b.Helper()
	for _, megabytes := range []int{1, 100} {
		for _, fsys := range []struct {
			name string
			fs   snapshotFS
		}{{"yes", osSnapshotFS{}}, {"no", unsynced{}}} {
			b.Run(fmt.Sprintf("MB=%d/fsync=%s", megabytes, fsys.name), func(b *testing.B) {
				d := &snapshotDir{}
				d.init(b.TempDir())
				d.fs = fsys.fs
				if err := d.open(); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = d.close() })
				data := make([]byte, megabytes*1_000_000)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				use(b, d, data)
			})
		}
	}
}

// BenchmarkSnapshotFileStore measures Snapshot of a topic that has one. file-B is what is written for it.
func BenchmarkSnapshotFileStore(b *testing.B) {
	benchSnapshotFile(b, func(b *testing.B, d *snapshotDir, data []byte) {
		b.Helper()
		for b.Loop() {
			if err := d.Snapshot(b.Context(), "topic", data); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data)+snapshotHeaderBytes), "file-B")
	})
}

// BenchmarkSnapshotFileFetch measures FetchSnapshot of a file that was just written.
func BenchmarkSnapshotFileFetch(b *testing.B) {
	benchSnapshotFile(b, func(b *testing.B, d *snapshotDir, data []byte) {
		b.Helper()
		if err := d.Snapshot(b.Context(), "topic", data); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := d.FetchSnapshot(b.Context(), "topic"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
