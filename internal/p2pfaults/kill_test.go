//go:build linux

package p2pfaults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// A pod dies without a goodbye. What had reached anybody is not lost; it starts again under its name, empty.
func TestFleetSurvivesAKilledPod(t *testing.T) {
	f := newFleet(t, 3)
	a, b := f.start(0), f.start(1)
	victim := f.startProcess(2)
	f.begin()

	last := victim.diary()
	await(t, "another pod to have what the victim wrote", []*pod{a}, func(p *pod) bool { return last.Check(p.contents()) == nil })
	victim.kill()
	f.lose(victim, last)
	f.await("the others to notice", func(m member) bool {
		s := m.status()
		return !slices.Contains(s.Heard, nodeOf(2)) && !slices.Contains(s.Connected, nodeOf(2)) && s.State == podshare.Synced
	})
	for _, p := range []*pod{a, b} {
		require.True(t, p.heard(func(err error) bool { return strings.Contains(err.Error(), "lost") }), "nobody was told of a lost connection")
	}
	f.awaitWrites(60)
	f.healed = time.Now()
	f.startProcess(2).write()
	f.settle()
}
