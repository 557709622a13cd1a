package transport_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// fleet is three pods on a network of their own, each with snapshot files in a directory of its own.
type fleet struct {
	net    *transporttest.Network
	files  []*transport.SnapshotFileTransport
	stores []*podshare.Store[string]
}

var fleetPods = []string{"a", "b", "c"}

// tombstoneTTL is longer than any fleet here is stopped, but for a pod that is away for twice that.
const tombstoneTTL = 5 * time.Minute

// startFleet starts pods on the directories below base, on a network that holds no snapshot.
func startFleet(t *testing.T, base string) *fleet {
	t.Helper()
	f := &fleet{net: transporttest.NewNetwork(1)}
	t.Cleanup(func() { f.close(t) })
	for _, pod := range fleetPods {
		f.start(t, pod, filepath.Join(base, pod))
	}
	synctest.Wait()
	return f
}

func (f *fleet) start(t *testing.T, pod, dir string) {
	t.Helper()
	tr, err := transport.WithSnapshotFile(f.net.Pod(pod), dir, transport.WithSnapshotFileOnError(func(err error) { t.Error(err) }))
	require.NoError(t, err)
	f.files = append(f.files, tr)
	s, err := podshare.New(t.Context(), "topic", tr, podshare.WithNodeID[string](pod),
		podshare.WithTombstoneTTL[string](tombstoneTTL), podshare.WithGCInterval[string](tombstoneTTL/10),
		podshare.WithErrorHandler[string](func(err error) { t.Error(err) }))
	require.NoError(t, err)
	f.stores = append(f.stores, s)
}

// close stops all pods in order. It may be repeated.
func (f *fleet) close(t *testing.T) {
	t.Helper()
	for i, s := range f.stores {
		assert.NoError(t, s.Close())
		assert.NoError(t, f.files[i].Close())
	}
	assert.NoError(t, f.net.Close())
}

// work is what the pods of a fleet write: a seed, keys of each, one of them overwritten by another, and one
// deleted by another.
func (f *fleet) work(t *testing.T) (want map[string]string) {
	t.Helper()
	require.NoError(t, f.stores[0].Seed(map[string]string{"seeded": "default"}))
	want = map[string]string{"seeded": "default"}
	for i, s := range f.stores {
		for n := range 3 {
			key := fmt.Sprintf("%s%d", s.NodeID(), n)
			require.NoError(t, s.Set(t.Context(), key, "v"))
			want[key] = "v"
		}
		synctest.Wait()
		other := f.stores[(i+1)%len(f.stores)]
		require.NoError(t, other.Set(t.Context(), s.NodeID()+"0", "overwritten"))
		want[s.NodeID()+"0"] = "overwritten"
		require.NoError(t, other.Delete(t.Context(), s.NodeID()+"1"))
		delete(want, s.NodeID()+"1")
	}
	return want
}

func (f *fleet) requireHolds(t *testing.T, want map[string]string) {
	t.Helper()
	for _, s := range f.stores {
		require.Equal(t, want, s.Snapshot(), s.NodeID())
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// quiet is long enough for every pod to have looked after the writes of all.
const quiet = 10 * time.Second

// A fleet that stopped, or lost power, comes back with what it held, and with nothing that it had deleted.
func TestSnapshotFilesBringAWholeFleetBack(t *testing.T) {
	for name, stop := range map[string]func(t *testing.T, f *fleet, base string) (stopped string){
		"closed": func(t *testing.T, f *fleet, base string) string {
			f.close(t)
			return base
		},
		"killed": func(t *testing.T, _ *fleet, base string) string {
			pass(time.Second) // the snapshot interval of authors; the others have not looked yet
			return copied(t, base)
		},
		"killed later": func(t *testing.T, _ *fleet, base string) string {
			pass(quiet)
			return copied(t, base)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := t.TempDir()
				old := startFleet(t, base)
				want := old.work(t)
				stopped := stop(t, old, base)

				f := startFleet(t, stopped)
				pass(quiet)
				f.requireHolds(t, want)
				require.NoError(t, f.stores[1].Set(t.Context(), "after", "v"))
				want["after"] = "v"
				pass(quiet)
				f.close(t)

				// Each pod's file holds all of it, those of pods that wrote nothing too.
				for _, pod := range fleetPods {
					alone := &fleet{net: transporttest.NewNetwork(1)}
					alone.start(t, pod, filepath.Join(stopped, pod))
					alone.requireHolds(t, want)
					alone.close(t)
				}
			})
		})
	}
}

// copied returns what a kill at this moment would leave of the directories.
func copied(t *testing.T, base string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(base)))
	return dir
}

// A pod that was away for longer than deletes are remembered brings nothing back from its file.
func TestSnapshotFileOfAPodThatWasAwayRevivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := t.TempDir()
		f := startFleet(t, base)
		want := f.work(t)
		pass(quiet)
		away := copied(t, filepath.Join(base, "c"))
		for _, key := range []string{"a0", "b0", "c0"} {
			require.NoError(t, f.stores[0].Delete(t.Context(), key))
			delete(want, key)
		}
		pass(2 * tombstoneTTL) // the tombstones are collected
		f.close(t)

		again := startFleet(t, base)
		again.start(t, "d", away)
		pass(quiet)
		again.requireHolds(t, want)
	})
}
