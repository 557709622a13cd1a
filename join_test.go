package podshare_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport/transporttest"
)

// A joiner whose peer dies in the middle of its answer goes on with another one, which sends only what is still missing.
func TestJoinGoesOnWithAnotherPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.SetStoreFaults(noStore)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		const keys, size = 1000, 10_000
		for i := range keys {
			require.NoError(t, a.Set(t.Context(), fmt.Sprint(i), incompressible(size+i)))
		}
		pass(3 * time.Second)
		requireSame(t, a, b)
		net.SetFaults(transporttest.Faults{MinDelay: 50 * time.Millisecond, MaxDelay: 50 * time.Millisecond})
		c := open(t, net.Pod("c"), "c")
		for c.Len() < keys/2 {
			pass(10 * time.Millisecond)
		}
		require.Less(t, c.Len(), keys)
		repairing := a
		if b.Stats().RepairSent > 0 {
			repairing = b
		}
		net.Cut(repairing.NodeID())
		require.NoError(t, c.Synced(t.Context()))
		require.Equal(t, keys, c.Len())
		require.Less(t, c.Stats().RepairedBytes, uint64(1.2*keys*size), "what had come is not sent again")
	})
}
