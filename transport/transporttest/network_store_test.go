package transporttest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport/transporttest"
)

func fetch(t *testing.T, e *transporttest.Endpoint) string {
	t.Helper()
	data, err := e.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	return string(data)
}

func TestSnapshotStore(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	a, b := n.Pod("a"), n.Pod("b")
	store := func(data string) { require.NoError(t, a.Snapshot(t.Context(), topic, []byte(data))) }

	n.SetStoreFaults(transporttest.StoreFaults{Stale: 1})
	require.Empty(t, fetch(t, b))
	store("1")
	require.Empty(t, fetch(t, b), "there is no older version")
	store("2")
	store("3")
	for range 20 {
		require.Contains(t, []string{"1", "2"}, fetch(t, b))
	}

	n.Calm()
	require.Equal(t, "3", fetch(t, b))
	n.RollbackStore(1)
	require.Equal(t, "2", fetch(t, b))
	store("4")
	n.RollbackStore(1)
	require.Equal(t, "2", fetch(t, b))
	n.RollbackStore(100)
	require.Empty(t, fetch(t, b))

	for i := range 30 {
		store(fmt.Sprint(i))
	}
	require.Equal(t, "29", fetch(t, b))
	n.RollbackStore(15)
	require.Equal(t, "14", fetch(t, b), "16 versions are remembered")
	n.FlushStore()
	require.Empty(t, fetch(t, b))
}

func TestSnapshotStoreErrors(t *testing.T) {
	n := transporttest.NewNetwork(1)
	defer n.Close()
	a, b := n.Pod("a"), n.Pod("b")
	store := func(e *transporttest.Endpoint, data string) error {
		return e.Snapshot(t.Context(), topic, []byte(data))
	}
	load := func(e *transporttest.Endpoint) error {
		_, err := e.FetchSnapshot(t.Context(), topic)
		return err
	}
	require.NoError(t, store(a, "stored"))

	n.SetStoreFaults(transporttest.StoreFaults{SnapshotError: 1})
	require.ErrorIs(t, store(a, "refused"), transporttest.ErrInjected)
	require.Equal(t, "stored", fetch(t, a))

	n.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
	require.ErrorIs(t, load(a), transporttest.ErrInjected)
	require.NoError(t, store(a, "stored again"))

	n.SetStoreFaults(transporttest.StoreFaults{})
	n.SetPodFaults("a", transporttest.PodFaults{StoreError: 1})
	require.True(t, errors.Is(load(a), transporttest.ErrInjected) && errors.Is(store(a, ""), transporttest.ErrInjected))
	require.Equal(t, "stored again", fetch(t, b))

	n.SetStoreFaults(transporttest.StoreFaults{Corrupt: 1})
	damaged, err := b.FetchSnapshot(t.Context(), topic)
	require.NoError(t, err)
	require.False(t, bytes.Equal(damaged, []byte("stored again")))
	require.Equal(t, uint64(4), n.Stats().StoreErrors)
	require.Equal(t, uint64(1), n.Stats().CorruptedFetches)
}
