//go:build linux

package p2pfaults

import (
	"slices"
	"testing"
	"time"
)

// What one pod sends no longer reaches another, which it still hears: no connection of the two lives on. As long as there
// is a third one, writes take the way by it. When the pod reaches nobody any more, it says that it is cut off.
func TestFleetSurvivesAOneWayPartition(t *testing.T) {
	network := startNetwork(t, 4)
	f, pods := network.fleet(3, impatient)
	a, b, c := pods[0], pods[1], pods[2]

	network.cut(0, 1)
	await(t, "the connection to be given up", []member{a, b}, func(m member) bool { return len(m.status().Connected) == 1 })
	f.awaitPassing(a, b, c)

	network.cut(0, 2)
	await(t, "the pod to say that it is cut off", []member{a}, func(m member) bool { return m.status().CutOff })
	await(t, "the others to miss it", []member{b, c}, func(m member) bool { return !slices.Contains(m.status().Heard, nodeOf(0)) })
	f.awaitPassing(b, c)
	f.awaitWrites(60)

	f.healed = time.Now()
	network.heal()
	f.settle()
}
