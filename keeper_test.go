package podshare_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// keeper is a layer around a transport that keeps snapshots of its own.
type keeper struct {
	podshare.Transport
	own podshare.SnapshotStore
}

func (k *keeper) Unwrap() podshare.Transport           { return k.Transport }
func (k *keeper) OwnSnapshots() podshare.SnapshotStore { return k.own }

// whole is a transport without a table: it keeps whole snapshots.
type whole struct{ podshare.Transport }

// stored returns what a pod that only had these snapshots would hold.
func stored(t *testing.T, s podshare.SnapshotStore) map[string]string {
	t.Helper()
	data, err := s.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	tr := transport.NewMemoryTransport()
	defer tr.Close()
	require.NoError(t, tr.Snapshot(t.Context(), topic, data))
	alone, err := podshare.New[string](t.Context(), topic, whole{tr})
	require.NoError(t, err)
	defer alone.Close()
	return alone.Snapshot()
}

// leave stores the state of a pod that wrote this and is gone.
func leave(t *testing.T, s podshare.SnapshotStore, node, key string) {
	t.Helper()
	tr := transport.NewMemoryTransport()
	defer tr.Close()
	a, err := podshare.New(t.Context(), topic, whole{tr}, podshare.WithNodeID[string](node))
	require.NoError(t, err)
	require.NoError(t, a.Set(t.Context(), key, "v"))
	require.NoError(t, a.Close())
	data, err := tr.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	require.NoError(t, s.Snapshot(t.Context(), topic, data))
}

// A store starts from the snapshots of all layers and brings each up to date, though nobody writes.
func TestSnapshotsOfAllLayersAreMerged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared, near, nearest := whole{newMemory(t)}, whole{newMemory(t)}, newMemory(t)
		leave(t, shared, "x", "shared")
		leave(t, near, "y", "near")
		leave(t, nearest, "z", "nearest")
		all := map[string]string{"shared": "v", "near": "v", "nearest": "v"}

		a := open(t, &keeper{&keeper{shared, near}, nearest}, "a")
		require.Equal(t, all, a.Snapshot())
		pass(10 * time.Second)
		for _, s := range []podshare.SnapshotStore{shared, near, nearest} {
			require.Equal(t, all, stored(t, s))
		}
		leave(t, near, "w", "later")
		require.NoError(t, a.Refresh(t.Context()))
		requireHolds(t, a, "later", "v")
	})
}

// A pod keeps its own snapshots up to date with what others write, and leaves the shared one to them.
func TestWriteOfAnotherPodReachesOwnSnapshots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := whole{newMemory(t)}
		kept := &keeper{shared, newMemory(t)}
		a, b := open(t, shared, "a"), open(t, kept, "b")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Equal(t, map[string]string{"k": "v"}, stored(t, kept.own))
		require.Equal(t, uint64(1), a.Stats().Snapshots)
		require.Equal(t, uint64(1), b.Stats().Snapshots, "its own")
	})
}

// What fails at one layer is stored at the others, and tried again only where it failed.
func TestSnapshotThatFailsAtOneLayerIsStoredAtTheOthers(t *testing.T) {
	refuse := errors.New("not now")
	for _, failing := range []string{"own", "shared"} {
		t.Run(failing, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				own, shared := &tap{Transport: newMemory(t)}, &tap{Transport: newMemory(t)}
				broken, sound := own, shared
				if failing == "shared" {
					broken, sound = shared, own
				}
				var fails atomic.Bool
				var calls atomic.Int32
				fails.Store(true)
				broken.onSnapshot = func(ctx context.Context, topic string, data []byte) error {
					if fails.Load() {
						return refuse
					}
					return broken.Transport.Snapshot(ctx, topic, data)
				}
				sound.onSnapshot = func(ctx context.Context, topic string, data []byte) error {
					calls.Add(1)
					return sound.Transport.Snapshot(ctx, topic, data)
				}
				a := open(t, &keeper{shared, own}, "a", log.to())
				require.NoError(t, a.Set(t.Context(), "k", "v"))
				pass(time.Minute)
				require.Equal(t, map[string]string{"k": "v"}, stored(t, sound))
				require.Greater(t, log.count(refuse), 1, "tried again")
				require.EqualValues(t, 1, calls.Load())
				fails.Store(false)
				pass(time.Minute)
				require.Equal(t, map[string]string{"k": "v"}, stored(t, broken))
				require.EqualValues(t, 1, calls.Load())
			})
		})
	}
}

// Close tells of a layer that could not be stored, and stores the others.
func TestCloseStoresAtEveryLayerThatWorks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		own := newMemory(t)
		a := open(t, &keeper{net.Pod("a"), own}, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
		require.ErrorIs(t, a.Close(), transporttest.ErrInjected)
		require.Equal(t, map[string]string{"k": "v"}, stored(t, own))
	})
}

// wrapper adds nothing. It hides what it wraps, but for Unwrap.
type wrapper struct{ podshare.Transport }

func (w wrapper) Unwrap() podshare.Transport { return w.Transport }

// What a Transport may implement besides is found through its wrappers.
func TestOptionalInterfacesAreFoundThroughWrappers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory, own := newMemory(t), newMemory(t)
		inner := &echoFreeTap{MemoryTransport: memory}
		a := open(t, wrapper{&keeper{wrapper{inner}, own}}, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		synctest.Wait()
		require.Positive(t, inner.spared.Load())
		require.NoError(t, a.Close())
		require.Equal(t, map[string]string{"k": "v"}, stored(t, own))
		requireHolds(t, open(t, memory, "b"), "k", "v")
		data, err := memory.FetchSnapshot(t.Context(), topic)
		require.NoError(t, err)
		require.Nil(t, data, "it is in the rows")
	})
}

// echoFreeTap counts the frames that leave out their publisher.
type echoFreeTap struct {
	*transport.MemoryTransport
	spared atomic.Int32
}

func (e *echoFreeTap) PublishExcept(ctx context.Context, topic string, msg []byte, own <-chan []byte) error {
	e.spared.Add(1)
	return e.MemoryTransport.PublishExcept(ctx, topic, msg, own)
}
