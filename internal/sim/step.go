package sim

import (
	"slices"
	"time"
)

// checkAllEvery says how many inputs of a pod pass between two looks at everything; in between only keys that
// watchers heard of are checked.
const checkAllEvery = 32

// checkStep checks what readers of a pod are served after an input.
func (p *Pod) checkStep() {
	p.world.Stats.Steps++
	w := &p.watch
	p.checkAwaits()
	keys := w.changed
	w.changed = nil
	w.steps++
	all := w.steps%checkAllEvery == 0
	if all {
		keys = p.world.oracle.keys
		if err := p.m.Check(); err != nil {
			p.world.Fail("invariant", "%s: %v", p.Name, err)
		}
		p.checkCutOff()
	}
	at := p.Instant()
	for _, key := range keys {
		p.checkKey(at, key)
	}
	for _, key := range keys {
		for _, b := range p.world.oracle.batch[key] {
			p.checkBatch(at, b)
		}
	}
}

// checkKey compares what is served with what watchers were told, and with deadlines and leases.
func (p *Pod) checkKey(at Instant, key string) {
	o := &p.world.oracle
	version, held := p.m.Held(key)
	value, served := p.m.Get(at, key)
	last, known := p.watch.last[key]
	if held && version.Node == p.id.Node && version.Boot == p.id.Boot && o.byDot[version.Dot] == nil && !version.Dead {
		o.rewritten(p, key, version, value)
	}
	switch {
	case served && (last.Kind != Set || last.Value != value):
		p.world.Fail("G6", "%s: %s is served as %q %v, watchers were last told %s %q", p.Name, key, value, version, last.Kind, last.Value)
	case !served && last.Kind == Set && !p.mayHide(at, last):
		p.world.Fail("G6", "%s: %s is not served (held: %v %v), watchers were last told %v %q", p.Name, key, held, version, last.Version, last.Value)
	case held && known && version.Compare(last.Version) < 0 && !p.world.Merge:
		p.world.Fail("G6", "%s: %s is at %v, watchers were told %v", p.Name, key, version, last.Version)
	}
	if !held {
		p.watch.forgot(key) // it starts anew
	}
	if served {
		for _, e := range o.elements(value) {
			p.checkExpiry(at, o.named[e], version)
		}
	}
}

// mayHide reports whether an entry may be out of sight without an event yet: its time has just come.
func (p *Pod) mayHide(at Instant, last Event) bool {
	for _, e := range p.world.oracle.elements(last.Value) {
		w := p.world.oracle.named[e]
		if w != nil && (w.deadline != 0 && w.deadline <= p.m.Now(at) || w.Owned && !p.leased(w.run)) {
			return true
		}
	}
	return false
}

// G12: a key with a TTL is never served past its deadline, an owned key not beyond its owner's lease.
func (p *Pod) checkExpiry(at Instant, w *write, v Version) {
	switch {
	case w == nil:
		p.world.Fail("invariant", "%s serves what nobody wrote (%v)", p.Name, v)
	case w.deadline != 0 && p.world.oracle.overdue(w, p.m.Now(at)):
		p.world.Fail("G12", "%s serves %v past its deadline", p.Name, w)
	case w.Owned && !p.leased(w.run) && !p.world.oracle.kept(w):
		p.world.Fail("G12", "%s serves %v, whose owner it does not hear", p.Name, w)
	}
}

// leased reports whether the pod has heard a run itself within the lease.
func (p *Pod) leased(run Dot) bool {
	if run == p.id {
		return true
	}
	h, heard := p.heard[run]
	lease := max(p.world.Lease, 3*p.world.Interval())
	return heard && !h.gone && p.world.queue.now-h.at < int64(lease)
}

// Interval is the time between heartbeats.
func (w *World) Interval() time.Duration {
	return max(time.Second, time.Duration(len(w.pods))*50*time.Millisecond)
}

// G5: batches are seen all-or-none.
func (p *Pod) checkBatch(at Instant, b *batch) {
	if t := p.world.Store.Table; t != nil && t.damaged {
		return // who starts from one takes what can be read
	}
	var shown, missing *write
	for _, w := range b.writes {
		switch {
		case p.shows(at, w):
			shown = w
		case !p.pastIt(w):
			missing = w
		}
	}
	if shown != nil && missing != nil {
		p.world.Fail("G5", "%s shows %v but not %v of the same batch", p.Name, shown, missing)
	}
}

// shows reports whether a reader can tell that w was applied.
func (p *Pod) shows(at Instant, w *write) bool {
	v, held := p.m.Held(w.Key)
	if w.Delete {
		return held && v.Dot == w.version.Dot
	}
	value, served := p.m.Get(at, w.Key)
	if !served {
		return false
	}
	return slices.Contains(p.world.oracle.elements(value), w.Value) && !p.world.oracle.carried(p, w)
}

// pastIt reports whether w is not seen because something newer is there or was, or because its time is over.
func (p *Pod) pastIt(w *write) bool {
	if v, held := p.m.Held(w.Key); held && v.Compare(w.version) >= 0 {
		return true
	}
	if w.deadline != 0 || w.Owned {
		return true
	}
	for _, x := range p.world.oracle.byKey[w.Key] {
		if x.version.Compare(w.version) >= 0 && (x != w || w.Delete) && p.m.Covers(x.version.Dot) {
			return true
		}
		if x.version.Compare(w.version) > 0 && p.world.oracle.refused(x) {
			return true // nobody may have w any more but in the form of what this pod refuses
		}
	}
	return false
}

// G11: a cut-off pod says so within three heartbeats; one that hears somebody does not.
func (p *Pod) checkCutOff() {
	w := p.world
	newest, surely, any := int64(0), int64(0), false
	for _, q := range w.pods {
		if q != p && q.Node == p.Node {
			return // a frame for a namesake is no sign of life
		}
	}
	for _, h := range p.heard {
		if !h.gone {
			newest, surely, any = max(newest, h.at), max(surely, h.surely), any || h.surely > 0
		}
	}
	silence, ago := time.Duration(w.queue.now-newest), time.Duration(w.queue.now-surely)
	switch cut := p.m.CutOff(); {
	case cut && surely > 0 && ago < 3*w.Interval():
		w.Fail("G11", "%s says that it is cut off, and heard somebody %v ago", p.Name, ago)
	case !cut && any && silence > 5*w.Interval():
		w.Fail("G11", "%s does not say that it is cut off, and heard nobody for %v", p.Name, silence)
	}
}
