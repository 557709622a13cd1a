package transport_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

var (
	_ podshare.Transport      = (*transport.SnapshotFileTransport)(nil)
	_ podshare.SnapshotKeeper = (*transport.SnapshotFileTransport)(nil)
)

// withFiles wraps a memory transport of its own, and closes both after the test.
func withFiles(t testing.TB, dir string, opts ...transport.SnapshotFileOption) *transport.SnapshotFileTransport {
	t.Helper()
	f, err := transport.WithSnapshotFile(transport.NewMemoryTransport(), dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

func store(t testing.TB, s podshare.SnapshotStore, topic, data string) {
	t.Helper()
	require.NoError(t, s.Snapshot(t.Context(), topic, []byte(data)))
}

func fetch(t testing.TB, s podshare.SnapshotStore, topic string) string {
	t.Helper()
	data, err := s.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	return string(data)
}

func TestSnapshotFileKeepsTheContract(t *testing.T) {
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		f, err := transport.WithSnapshotFile(transport.NewMemoryTransport(), t.TempDir())
		require.NoError(t, err)
		return f
	})
}

// The files alone keep what the contract says of snapshots: here they are all that there is.
func TestSnapshotFileAloneKeepsTheContract(t *testing.T) {
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		f, err := transport.WithSnapshotFile(forgetful{transport.NewMemoryTransport()}, t.TempDir())
		require.NoError(t, err)
		return f
	})
}

// forgetful keeps no snapshots.
type forgetful struct{ *transport.MemoryTransport }

func (f forgetful) Snapshot(ctx context.Context, topic string, _ []byte) error {
	return f.MemoryTransport.Snapshot(ctx, topic, nil)
}

func TestSnapshotFileSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first, err := transport.WithSnapshotFile(transport.NewMemoryTransport(), dir)
	require.NoError(t, err)
	for i := range 3 {
		store(t, first, "topic", fmt.Sprint("state ", i))
	}
	store(t, first, "another", "state of another")
	store(t, first, "emptied", "state")
	store(t, first, "emptied", "")
	require.NoError(t, first.Close())

	second := withFiles(t, dir)
	require.Equal(t, "state 2", fetch(t, second, "topic"))
	require.Equal(t, "state of another", fetch(t, second, "another"))
	for _, topic := range []string{"emptied", "never stored"} {
		data, err := second.FetchSnapshot(t.Context(), topic)
		require.NoError(t, err)
		require.Nil(t, data, topic)
	}
}

// Those who know nothing of two places are given what all pods share.
func TestSnapshotFileFetchPrefersTheWrappedTransport(t *testing.T) {
	f := withFiles(t, t.TempDir())
	store(t, f.OwnSnapshots(), "topic", "in the file")
	require.Equal(t, "in the file", fetch(t, f, "topic"))
	store(t, f.Unwrap(), "topic", "shared")
	require.Equal(t, "shared", fetch(t, f, "topic"))
	require.Equal(t, "in the file", fetch(t, f.OwnSnapshots(), "topic"))
}

func TestSnapshotFileDirectoryBelongsToOneTransport(t *testing.T) {
	dir := t.TempDir()
	first := withFiles(t, dir)
	m := newMemory(t)
	_, err := transport.WithSnapshotFile(m, dir)
	require.ErrorIs(t, err, transport.ErrSnapshotDirInUse)
	require.NoError(t, m.Publish(t.Context(), "topic", nil), "the wrapped transport stays open")

	require.NoError(t, first.Close())
	second, err := transport.WithSnapshotFile(m, dir)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.ErrorIs(t, m.Publish(t.Context(), "topic", nil), transport.ErrClosed, "is closed with the wrapper")
}

func TestSnapshotFileRefusesWhatItCannotUse(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	m := newMemory(t)
	for name, build := range map[string]func() (*transport.SnapshotFileTransport, error){
		"no transport": func() (*transport.SnapshotFileTransport, error) { return transport.WithSnapshotFile(nil, base) },
		"no directory": func() (*transport.SnapshotFileTransport, error) { return transport.WithSnapshotFile(m, "") },
		"a file":       func() (*transport.SnapshotFileTransport, error) { return transport.WithSnapshotFile(m, file) },
		"a missing way": func() (*transport.SnapshotFileTransport, error) {
			return transport.WithSnapshotFile(m, filepath.Join(base, "a", "b"))
		},
	} {
		_, err := build()
		require.Error(t, err, name)
	}
}

func TestSnapshotFileRefusesCallsAsOtherTransportsDo(t *testing.T) {
	f := withFiles(t, filepath.Join(t.TempDir(), "made by it"), transport.WithSnapshotFileLimit(4))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	own := f.OwnSnapshots()
	calls := map[string]func(ctx context.Context, topic string) error{
		"Snapshot":      func(ctx context.Context, topic string) error { return own.Snapshot(ctx, topic, nil) },
		"FetchSnapshot": func(ctx context.Context, topic string) error { _, err := own.FetchSnapshot(ctx, topic); return err },
	}
	for name, call := range calls {
		require.ErrorIs(t, call(t.Context(), ""), transport.ErrEmptyTopic, name)
		require.ErrorIs(t, call(ended, "topic"), context.Canceled, name)
	}
	store(t, own, "topic", "four")
	require.ErrorIs(t, own.Snapshot(t.Context(), "topic", []byte("is5ve")), transport.ErrSnapshotTooLarge)
	require.Equal(t, "four", fetch(t, own, "topic"))
	require.NoError(t, f.Close())
	for name, call := range calls {
		require.ErrorIs(t, call(ended, ""), transport.ErrClosed, "%s: closed comes first", name)
	}
}

// Names differ also where case or Unicode forms are not told apart, and lead nowhere.
func TestSnapshotFileNamesOfTopicsDiffer(t *testing.T) {
	dir := t.TempDir()
	f := withFiles(t, dir)
	long := strings.Repeat("x", 1<<16)
	topics := []string{
		"a", "A", "..", ".", "/", "../a", "/etc/passwd", `..\a`, "a%41", "%", "~", "con", "lock", "é", "e\u0301", "\xff", "\x00",
		"a.snapshot", "a.snapshot.old", long + "y", long + "z", long[:160], long[:161], long[:95] + "~", strings.Repeat("/", 53), strings.Repeat("/", 54),
	}
	for _, topic := range topics {
		store(t, f, topic, "state of "+topic)
	}
	for _, topic := range topics {
		require.Equal(t, "state of "+topic, fetch(t, f.OwnSnapshots(), topic))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, len(topics)+1, "a file each, and the lock")
	folded := map[string]bool{}
	for _, e := range entries {
		folded[strings.ToLower(e.Name())] = true
		require.Less(t, len(e.Name()), 200)
	}
	require.Len(t, folded, len(entries))
	outside, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Len(t, outside, 1)
}

// snapshotFiles returns the paths of all files but the lock, sorted.
func snapshotFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "topic-*"))
	require.NoError(t, err)
	slices.Sort(files)
	return files
}

// Wherever a file was cut and whichever byte changed, the snapshot before it is used, and the file kept.
func TestSnapshotFileDamagedAnywhereIsSetAside(t *testing.T) {
	const newest, before = "the newest state", "the state before"
	dir := t.TempDir()
	first, err := transport.WithSnapshotFile(transport.NewMemoryTransport(), dir)
	require.NoError(t, err)
	store(t, first, "topic", before)
	store(t, first, "topic", newest)
	require.NoError(t, first.Close())
	path := snapshotFiles(t, dir)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(whole), newest)

	damages := map[string][]byte{"longer": append(slices.Clone(whole), 0)}
	for at := range whole {
		damages[fmt.Sprint("cut at ", at)] = whole[:at]
		flipped := slices.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		damages[fmt.Sprint("flipped at ", at)] = flipped
	}
	for name, damaged := range damages {
		copied := t.TempDir()
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		path := filepath.Join(copied, filepath.Base(path))
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		var reports []error
		f := withFiles(t, copied, transport.WithSnapshotFileOnError(func(err error) { reports = append(reports, err) }))

		require.Equal(t, before, fetch(t, f, "topic"), name)
		require.Len(t, reports, 1, name)
		require.ErrorIs(t, reports[0], transport.ErrSnapshotDamaged)
		require.ErrorContains(t, reports[0], path)
		aside, err := os.ReadFile(path + ".damaged-1")
		require.NoError(t, err, name)
		require.Equal(t, damaged, append([]byte{}, aside...)[:len(damaged):len(damaged)], name)

		require.Equal(t, before, fetch(t, f, "topic"), name)
		require.Len(t, reports, 1, "%s: reported once", name)
		store(t, f, "topic", newest)
		require.Equal(t, newest, fetch(t, f.OwnSnapshots(), "topic"), name)
		require.NoError(t, f.Close())
	}
}

// A pod whose files are all damaged starts without; a bounded number of them is kept.
func TestSnapshotFileWithoutAWholeOneStartsWithout(t *testing.T) {
	dir := t.TempDir()
	reports := 0
	f := withFiles(t, dir, transport.WithSnapshotFileOnError(func(error) { reports++; panic("handler") }))
	own := f.OwnSnapshots()
	const rounds = 4
	for range rounds {
		store(t, own, "topic", "before")
		store(t, own, "topic", "newest")
		for _, path := range snapshotFiles(t, dir) {
			if !strings.Contains(path, "damaged") {
				require.NoError(t, os.WriteFile(path, []byte("garbage"), 0o600))
			}
		}
		data, err := own.FetchSnapshot(t.Context(), "topic")
		require.NoError(t, err)
		require.Nil(t, data)
	}
	require.Equal(t, 2*rounds, reports)
	require.Len(t, snapshotFiles(t, dir), 3, "set aside")
	store(t, own, "topic", "new")
	require.Equal(t, "new", fetch(t, own, "topic"))
}

// A file of another topic is no file of this one, nor one beyond the limit, nor what is no file.
func TestSnapshotFileOfAnotherKindIsDamaged(t *testing.T) {
	for name, place := range map[string]func(dir, path string) error{
		"another topic's": func(dir, path string) error { return os.Rename(filepath.Join(dir, "topic-another.snapshot"), path) },
		"too large":       func(_, path string) error { return os.Truncate(path, 1000) },
		"a directory": func(_, path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var reports []error
			f := withFiles(t, dir, transport.WithSnapshotFileLimit(100), transport.WithSnapshotFileOnError(func(err error) { reports = append(reports, err) }))
			own := f.OwnSnapshots()
			store(t, own, "topic", "state")
			store(t, own, "another", "state of another")
			require.NoError(t, place(dir, filepath.Join(dir, "topic-topic.snapshot")))
			require.Empty(t, fetch(t, own, "topic"))
			require.Len(t, reports, 1)
			require.ErrorIs(t, reports[0], transport.ErrSnapshotDamaged)
		})
	}
}

// Whoever fetches gets one of the states that were stored, whole, however many store at once and until Close.
func TestSnapshotFileUnderConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	f := withFiles(t, dir)
	own := f.OwnSnapshots()
	const topics, writers, rounds = 3, 2, 5
	state := func(topic string) string { return strings.Repeat(topic, 100) }
	var writing, all sync.WaitGroup
	for i := range topics {
		topic := fmt.Sprint("topic ", i)
		for range writers {
			writing.Go(func() {
				for range rounds {
					assert.NoError(t, own.Snapshot(t.Context(), topic, []byte(state(topic))))
				}
			})
			all.Go(func() { // goes on until Close
				for {
					if err := own.Snapshot(t.Context(), topic, []byte(state(topic))); err != nil {
						assert.ErrorIs(t, err, transport.ErrClosed)
						return
					}
				}
			})
		}
		all.Go(func() {
			for {
				data, err := own.FetchSnapshot(t.Context(), topic)
				if err != nil {
					assert.ErrorIs(t, err, transport.ErrClosed)
					return
				}
				assert.Contains(t, []string{"", state(topic)}, string(data))
			}
		})
	}
	writing.Wait()
	for range 2 {
		all.Go(func() { assert.NoError(t, f.Close()) })
	}
	all.Wait()

	again := withFiles(t, dir)
	for i := range topics {
		topic := fmt.Sprint("topic ", i)
		require.Equal(t, state(topic), fetch(t, again, topic))
	}
}
