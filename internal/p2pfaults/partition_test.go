//go:build linux

package p2pfaults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// G3: a deleted key never comes back … not by a pod that was away longer than the tombstone TTL. What that pod itself
// wrote while away is not lost.
//
//	a, b: ─── set k ─┬─ (the network is cut) ── delete k ── its tombstone is collected ─┬── k stays dead
//	c:    ───────────┴─ holds k, deletes l, says that it is cut off ────────────────────┴── l stays dead
func TestFleetSurvivesAPartitionLongerThanTheTombstoneTTL(t *testing.T) {
	network := startNetwork(t, 4)
	f, pods := network.fleet(3, impatient, func(c *config, _ *transport.P2POptions) { c.TombstoneTTL = time.Second })
	a, b, c := pods[0], pods[1], pods[2]
	const keys = 20
	key := func(pod string, n int) string { return fmt.Sprintf("old/%s/%d", pod, n) }
	for n := range keys {
		a.set(key("a", n), "old")
		c.set(key("c", n), "old")
	}
	f.awaitPassing(a, b, c)
	f.await("all to hold the old keys", func(m member) bool {
		held := m.contents().Values
		for n := range keys {
			if held[key("a", n)] == "" || held[key("c", n)] == "" {
				return false
			}
		}
		return true
	})

	for _, near := range []int{0, 1} {
		network.cut(near, 2)
		network.cut(2, near)
	}
	await(t, "the pod to say that it is cut off", []member{c}, func(m member) bool { return m.status().CutOff })
	for n := range keys {
		a.remove(key("a", n))
		c.remove(key("c", n))
	}
	due := a.status()
	await(t, "the tombstones to be collected", []member{a, b}, func(m member) bool {
		return m.status().Collected >= due.Collected+uint64(due.Tombstones)
	})
	f.awaitWrites(60)
	require.Equal(t, podshare.CutOff, c.status().State)
	require.Contains(t, c.contents().Values, key("a", 0), "nothing is left to come back")

	f.healed = time.Now()
	network.heal()
	f.settle()
}
