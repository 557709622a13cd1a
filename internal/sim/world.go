package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Epoch is what a right clock shows when a world begins: ns since the Unix epoch.
const Epoch = int64(1_750_000_000) * int64(time.Second)

// Settings are the terms of a run.
type Settings struct {
	Make         Maker
	Seed         uint64
	TombstoneTTL time.Duration // 0: one minute
	Lease        time.Duration // 0: ten seconds
	Merge        bool
	Readers      bool      // each pod has clients that watch
	Trace        io.Writer // nil: none
}

// World is pods, what connects them, and the time that passes for all of them.
type World struct {
	Settings
	Network
	Store SnapshotStore

	queue    queue
	rng      *rand.Rand
	pods     []*Pod
	runs     []Dot // all that ever were; Seq is 0
	oracle   oracle
	healed   int64 // virtual time at which faults ended
	poisoned bool  // a clock was wrong by more than the tombstone TTL
	Stats    Stats
}

// Stats are what a run was worth.
type Stats struct {
	Steps, Writes, Frames, Events int
	Read                          int     // events that clients took
	Awaited                       int     // waits for other pods that ended well
	Seen                          int     // frames that say what their sender has seen
	HealBeats                     float64 // heartbeats from the end of faults to convergence, of the slowest
}

// ViolationError is a broken guarantee.
type ViolationError struct {
	Rule string // G1, …, or "invariant"
	Seed uint64
	At   time.Duration
	What string
}

func (v *ViolationError) Error() string {
	return fmt.Sprintf("%s broken at %v (seed %d): %s", v.Rule, v.At, v.Seed, v.What)
}

// Run runs a script in a new world and returns the first violation.
func Run(s Settings, script func(w *World)) (st Stats, err error) {
	if s.TombstoneTTL == 0 {
		s.TombstoneTTL = time.Minute
	}
	if s.Lease == 0 {
		s.Lease = 10 * time.Second
	}
	w := &World{Settings: s, rng: rand.New(rand.NewPCG(s.Seed, 1))}
	w.init()
	w.oracle.init(w)
	defer func() {
		st = w.Stats
		if p := recover(); p != nil {
			v, ok := p.(*ViolationError)
			if !ok {
				w.Tracef("panic: %v", p)
				panic(p)
			}
			w.Tracef("%v", v)
			err = v
		}
	}()
	script(w)
	return w.Stats, nil
}

// Fail ends the run with a violation.
func (w *World) Fail(rule, format string, args ...any) {
	panic(&ViolationError{Rule: rule, Seed: w.Seed, At: time.Duration(w.queue.now), What: fmt.Sprintf(format, args...)})
}

// Tracef adds a line to the trace.
func (w *World) Tracef(format string, args ...any) {
	if w.Trace != nil {
		_, _ = fmt.Fprintf(w.Trace, "%12.6f %s\n", time.Duration(w.queue.now).Seconds(), fmt.Sprintf(format, args...))
	}
}

// Now is the time since the world began.
func (w *World) Now() time.Duration { return time.Duration(w.queue.now) }

// Advance lets time pass.
func (w *World) Advance(d time.Duration) { w.queue.runUntil(w.queue.now + int64(d)) }

// After plans a step of the script.
func (w *World) After(d time.Duration, do func()) { w.queue.after(int64(d), do) }

// Pod returns a pod by its name; the name of a new one starts it, with the node ID of that name.
func (w *World) Pod(name string) *Pod {
	for _, p := range w.pods {
		if p.Name == name {
			return p
		}
	}
	return w.Start(PodConfig{Name: name})
}

// Start adds a pod and starts it.
func (w *World) Start(c PodConfig) *Pod {
	if c.Node == "" {
		c.Node = c.Name
	}
	p := &Pod{PodConfig: c, world: w}
	w.pods = append(w.pods, p)
	p.Restart()
	return p
}

// Live are the pods that run.
func (w *World) Live() []*Pod {
	var live []*Pod
	for _, p := range w.pods {
		if p.m != nil {
			live = append(live, p)
		}
	}
	return live
}
