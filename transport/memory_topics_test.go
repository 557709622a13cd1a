package transport

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// Topics that nobody uses any more take no memory.
func TestMemoryTopicsForgetWhatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryTransport(WithMemoryQueue(1))
		entries := func() (n int) {
			for i := range m.topics.shards {
				n += len(*m.topics.shards[i].table.Load())
			}
			return n
		}
		for i := range 5000 {
			ctx, cancel := context.WithCancel(t.Context())
			for range 2 {
				_, err := m.Subscribe(ctx, fmt.Sprint(i))
				require.NoError(t, err)
			}
			require.Equal(t, 2, m.Subscribers(fmt.Sprint(i)))
			cancel()
			synctest.Wait()
			require.Zero(t, entries())
		}
		require.NoError(t, m.Snapshot(t.Context(), "topic", []byte("data")))
		require.NoError(t, m.Snapshot(t.Context(), "topic", nil))
		require.Empty(t, m.snapshots.byTopic)
		require.NoError(t, m.Close())
	})
}
