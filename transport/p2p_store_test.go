package transport_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

func openStore(t *testing.T, tr podshare.Transport, node string) *podshare.Store[int] {
	t.Helper()
	s, err := podshare.New(t.Context(), "numbers", tr, podshare.WithNodeID[int](node))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestP2PStores(t *testing.T) {
	first := openP2P(t)
	a := openStore(t, first, "a")
	require.True(t, a.Ready(), "the first pod has nobody to wait for")

	many := map[string]int{}
	for i := range 20_000 {
		many[fmt.Sprint(i)] = i
	}
	require.NoError(t, a.SetMany(t.Context(), many))
	second := openP2P(t, to(first))
	b := openStore(t, second, "b")
	require.False(t, b.Ready(), "the second pod finds the first, and waits for what it has")
	require.NoError(t, b.Synced(t.Context()))
	require.Equal(t, len(many), b.Len())

	events := a.Watch(t.Context(), podshare.WatchKey("k"))
	require.NoError(t, b.Set(t.Context(), "k", 7))
	require.Equal(t, 7, (<-events).Value)

	// The second pod is gone without a goodbye, and comes back at another address.
	require.NoError(t, second.Close())
	require.NoError(t, a.Set(t.Context(), "k", 8))
	third := openP2P(t, to(first))
	c := openStore(t, third, "c")
	require.NoError(t, c.Synced(t.Context()))
	k, _ := c.Get("k")
	require.Equal(t, 8, k)
	eventually(t, func() bool { return c.Health().State == podshare.Synced }, "synced")
	require.NoError(t, c.Close())
	require.Equal(t, transport.ErrClosed, second.Publish(t.Context(), "numbers", nil))
}
