package sim

import (
	"slices"
	"strings"
	"time"
)

// PodConfig is what tells pods apart.
type PodConfig struct {
	Name        string
	Node        string        // its node ID; the name by default
	Clock       time.Duration // how far its clock is ahead
	MaxValue    int           // refuses longer values
	Undecodable string        // refuses values that contain it
	NoSnapshot  bool          // starts without reading the stored snapshot
}

// Pod is a place where one machine after another runs under the same name.
type Pod struct {
	PodConfig
	world *World
	m     Machine // nil while it is down
	gone  bool    // has left for ever
	run   int     // counts restarts; what was planned for an earlier run is void

	started int64 // virtual time at which the run began
	wallWas int64 // what its clock showed then
	due     int64 // virtual time of the next tick
	planned bool  // a flush is planned
	persist bool  // a snapshot is planned
	watch   watcher
	readers []*reader       // clients that watch
	awaits  []*await        // callers that wait for others
	id      Dot             // of the run; Seq is 0
	heard   map[Dot]hearing // by run of a peer
}

// hearing is when a pod last heard a run of another from itself.
type hearing struct {
	at     int64 // virtual time
	surely int64 // of a frame that was not for an earlier run of the pod
	gone   bool  // it said goodbye
}

// Up reports whether the pod runs.
func (p *Pod) Up() bool { return p.m != nil }

// Instant reads the pod's clocks.
func (p *Pod) Instant() Instant {
	now := p.world.queue.now
	return Instant{Wall: Epoch + now + int64(p.Clock), Mono: now - p.started}
}

// picky reports whether the pod refuses what others take.
func (p *Pod) picky() bool { return p.MaxValue != 0 || p.Undecodable != "" }

// refuses reports whether the pod refuses w, by itself or with its batch.
func (p *Pod) refuses(w *write) bool {
	if !p.picky() {
		return false
	}
	if w.batch != nil {
		return slices.ContainsFunc(w.batch.writes, p.refusesValue)
	}
	return p.refusesValue(w)
}

// refusesValue is refuses without the batch. With Merge a write carries earlier ones, so any may be refused.
func (p *Pod) refusesValue(w *write) bool {
	const quotes = 2
	return p.world.Merge || p.MaxValue != 0 && len(w.Value)+quotes > p.MaxValue ||
		p.Undecodable != "" && strings.Contains(w.Value, p.Undecodable)
}

// Restart starts a new run, from the stored snapshot if the pod reads it.
func (p *Pod) Restart() {
	w := p.world
	p.Stop()
	p.run++
	p.started = w.queue.now
	at := p.Instant()
	p.wallWas = at.Wall
	boot := uint64(at.Wall)&^0xffffffff | uint64(w.rng.Uint32())
	p.start(at, boot)
}

// RestartAt is Restart with a given boot number.
func (p *Pod) RestartAt(boot uint64) {
	p.Stop()
	p.run++
	p.started = p.world.queue.now
	p.start(p.Instant(), boot)
}

func (p *Pod) start(at Instant, boot uint64) {
	w := p.world
	p.watch = newWatcher(p)
	p.heard = map[Dot]hearing{}
	p.id = Dot{Node: p.Node, Boot: boot}
	w.runs = append(w.runs, p.id)
	p.planned, p.persist, p.awaits = false, false, nil
	w.Tracef("%s starts, boot %x, clock %+v", p.Name, boot, p.Clock)
	p.checkClock()
	p.m = w.Make(Config{
		Node: p.Node, Boot: boot, Seed: w.rng.Uint64(), TombstoneTTL: w.TombstoneTTL, Lease: w.Lease,
		MaxValue: p.MaxValue, Undecodable: p.Undecodable, Merge: w.Merge,
		Changed: func(e Event) { p.watch.told(e) },
	}, at)
	if !p.NoSnapshot {
		p.load()
	}
	p.due = 1<<63 - 1
	p.settle()
	if w.Readers {
		p.read()
	}
}

// RestartFrozen restarts with a clock that shows the time of the last start again.
func (p *Pod) RestartFrozen() {
	p.Stop()
	p.Clock = time.Duration(p.wallWas - Epoch - p.world.queue.now)
	p.Restart()
}

// Stop ends the run without a word.
func (p *Pod) Stop() {
	if p.m != nil {
		p.world.Tracef("%s stops", p.Name)
	}
	p.m = nil
	p.run++
}

// Close ends the run with what waits and a goodbye.
func (p *Pod) Close() {
	p.m.Goodbye(p.Instant())
	p.flush()
	p.Stop()
}

// Jump sets the pod's clock forward, or back.
func (p *Pod) Jump(d time.Duration) {
	p.Clock += d
	p.checkClock()
	p.world.Tracef("%s clock %+v to %+v", p.Name, d, p.Clock)
	p.tick() // the machine's timers are monotonic
}

// checkClock notes a clock that is wrong by more than guarantees about collected deletes allow for.
func (p *Pod) checkClock() {
	p.world.poisoned = p.world.poisoned || p.Clock.Abs() > p.world.TombstoneTTL
}

// Set writes one value and sends it.
func (p *Pod) Set(key, value string) { _ = p.Write(Op{Key: key, Value: value}) }

// Delete deletes one key and sends that.
func (p *Pod) Delete(key string) { _ = p.Write(Op{Key: key, Delete: true}) }

// Write applies writes in one step and sends them at once. It returns what the machine says.
func (p *Pod) Write(ops ...Op) error {
	err := p.Queue(ops...)
	p.flush()
	return err
}

// Queue applies writes in one step and leaves the sending for later, as when another publish is under way.
func (p *Pod) Queue(ops ...Op) error {
	at := p.Instant()
	before := p.world.oracle.before(p, ops)
	err := p.m.Write(at, ops)
	p.world.Stats.Writes += len(ops)
	p.world.oracle.wrote(p, at, ops, before)
	p.world.Tracef("%s writes %s %v", p.Name, describe(p.m, ops), errText(err))
	p.checkStep()
	p.settle()
	return err
}

// Seed fills the pod's store with initial values.
func (p *Pod) Seed(ops ...Op) {
	at := p.Instant()
	before := p.world.oracle.before(p, ops)
	err := p.m.Seed(at, ops)
	p.world.oracle.wrote(p, at, ops, before)
	p.world.Tracef("%s seeds %s %v", p.Name, describe(p.m, ops), errText(err))
	p.watch.adoptState()
	for _, r := range p.readers {
		r.seeded()
	}
	p.checkStep()
	p.settle()
}

// receive hands a frame to the machine.
func (p *Pod) receive(from *Pod, fromRun Dot, f Frame, corrupt bool) {
	at := p.Instant()
	w := p.world
	w.Stats.Frames++
	vector, digest := uint64(0), uint64(0)
	if corrupt {
		vector, digest = p.m.Fingerprint()
	}
	if !corrupt && fromRun != p.id {
		h := p.heard[fromRun]
		h.at, h.gone = w.queue.now, h.gone || f.Kind == "goodbye"
		if f.To == "" {
			h.surely = h.at
		}
		p.heard[fromRun] = h
	}
	err := p.m.Receive(at, f.Bytes)
	if w.Trace != nil && (f.Kind != "heartbeat" || err != nil) {
		w.Tracef("%s ← %s %s %v", p.Name, from.Name, f.Kind, errText(err))
	}
	if corrupt {
		v, d := p.m.Fingerprint()
		if err == nil || v != vector || d != digest {
			w.Fail("G9", "%s took in a corrupt frame of %s (error %v)", p.Name, from.Name, err)
		}
	}
	p.checkStep()
	p.settle()
}

func (p *Pod) tick() {
	if p.m == nil {
		return
	}
	p.due = 1<<63 - 1
	p.m.Tick(p.Instant())
	p.watch.forget()
	p.checkStep()
	p.settle()
}

// settle sends what the machine wants sent, but for writes, and plans its next tick.
func (p *Pod) settle() {
	w := p.world
	for _, err := range p.m.Errors() {
		w.Tracef("%s reports %v", p.Name, err)
	}
	if !p.planned {
		p.planned = true
		run := p.run
		w.queue.after(w.rng.Int64N(int64(time.Millisecond)), func() {
			if p.run == run {
				p.planned = false
				p.flush()
			}
		})
	}
	due := p.started + p.m.Due(p.Instant())
	if due < p.due {
		p.due = due
		run := p.run
		w.queue.after(max(due-w.queue.now, int64(time.Millisecond)/10), func() {
			if p.run == run && p.due == due {
				p.tick()
			}
		})
	}
	p.planPersist()
}

// flush sends all that waits.
func (p *Pod) flush() {
	for _, f := range p.m.Frames(p.Instant()) {
		p.world.oracle.checkSeen(p, f.Seen)
		p.world.send(p, f)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

func describe(m Machine, ops []Op) string {
	s := ""
	for _, op := range ops {
		if s != "" {
			s += ", "
		}
		v, _ := m.Held(op.Key)
		s += op.Key
		switch {
		case op.Delete:
			s += " deleted"
		default:
			s += "=" + clip(op.Value)
		}
		if op.TTL != 0 {
			s += " ttl " + op.TTL.String()
		}
		if op.Owned {
			s += " owned"
		}
		s += " → " + v.String()
	}
	return s
}

func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}
