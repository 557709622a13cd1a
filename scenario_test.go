package podshare

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

// scenario is a schedule that broke a plausible design once. It must pass, and fail when the rule that holds it is
// switched off.
type scenario struct {
	name   string
	script func(w *sim.World)
	merge  bool
	ttl    time.Duration // of tombstones; 0: one minute
	breaks rule          // switched off, the scenario fails; 0: no single rule holds it
	// without is switched off too when breaks is: another rule that holds the scenario as well. By itself it may
	// be off.
	without rule
}

func (s *scenario) run(off rule, trace io.Writer) error {
	_, err := sim.Run(sim.Settings{
		Make: simMaker(off), Seed: max(*simSeed, 1), Merge: s.merge, TombstoneTTL: s.ttl, Trace: trace,
	}, func(w *sim.World) {
		s.script(w)
		w.Converge()
	})
	return err
}

// scenarios returns all of them, in the order of the design's chapters.
func scenarios() []scenario {
	var all []scenario
	for _, part := range [][]scenario{
		repairScenarios(), deleteScenarios(), clockScenarios(), refusalScenarios(), expiryScenarios(), mergeScenarios(),
		snapshotScenarios(),
	} {
		all = append(all, part...)
	}
	return all
}

// A trace of one: go test -run 'TestScenario/name' -sim.seed=1.
func TestScenario(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			var trace io.Writer
			if *simSeed != 0 {
				trace = os.Stdout
			}
			if err := s.run(0, trace); err != nil {
				t.Fatal(err)
			}
		})
	}
}
