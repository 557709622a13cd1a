package sim

import (
	"fmt"
	"slices"
	"time"
)

// maxHeal is how long convergence may take, in heartbeats: a difference is noticed within three and healed by the
// exchange that follows at once. The rest is for frames still under way and exchanges that were cut off.
const maxHeal = 12

// Converge ends the faults, waits until all pods agree, and checks what they agree on, now and after all tombstones
// are collected.
func (w *World) Converge() {
	w.HealAll()
	start := w.queue.now
	for {
		w.Advance(w.Interval() / 20)
		why := w.difference()
		beats := float64(w.queue.now-start) / float64(w.Interval())
		if why == "" {
			w.Stats.HealBeats = beats
			break
		}
		if beats > maxHeal {
			w.Fail("G1", "after %.1f heartbeats: %s", beats, why)
		}
	}
	w.Tracef("converged")
	w.checkWaits(true)
	w.checkRemains(false)
	w.Advance(2*w.TombstoneTTL + 5*w.Lease)
	if why := w.difference(); why != "" {
		w.Fail("G1", "long after: %s", why)
	}
	w.checkRemains(true)
	w.checkTable()
	w.checkAwaited()
	for _, p := range w.Live() {
		p.watch.steps = checkAllEvery - 1
		p.checkStep()
		for _, r := range p.readers {
			for all := false; !all; { // one that lagged begins anew
				all = r.take(1 << 10)
			}
		}
	}
}

// checkTable looks whether a pod that starts from the table alone, when all pods agree, holds what they hold.
func (w *World) checkTable() {
	t := w.Store.Table
	if t == nil || len(w.Live()) == 0 {
		return
	}
	for range 3 { // what is damaged is found, and mended
		for _, p := range w.Live() {
			if err := p.m.LoadTable(p.Instant(), t); err != nil {
				w.Fail("snapshot", "%s cannot load the table: %v", p.Name, err)
			}
			var err error
			for tries := 0; tries == 0 || err != nil; tries++ {
				if err = p.m.MergeTable(p.Instant(), t, true); tries > 50 {
					w.Fail("snapshot", "%s cannot merge into the table: %v", p.Name, err)
				}
			}
		}
	}
	late := w.Start(PodConfig{Name: "late", NoSnapshot: true})
	w.Cut("late")
	if err := late.m.LoadTable(late.Instant(), t); err != nil {
		w.Fail("snapshot", "a new pod cannot load the table: %v", err)
	}
	for _, p := range w.Live() {
		if p.picky() || p == late {
			continue
		}
		for _, key := range w.oracle.keys {
			a, inA := p.m.Get(p.Instant(), key)
			b, inB := late.m.Get(late.Instant(), key)
			owned := slices.ContainsFunc(w.oracle.byKey[key], func(x *write) bool { return x.Owned })
			if (a != b || inA != inB) && !w.fleeting(key) && !owned {
				w.Fail("snapshot", "%s is %s on %s and %s in the table", key, or(a, "absent"), p.Name, or(b, "absent"))
			}
		}
	}
	late.Stop()
}

// difference says how two of the live pods differ, "" if they do not.
func (w *World) difference() string {
	var first *Pod
	for _, p := range w.Live() {
		if p.picky() {
			if x := w.oracle.secret(p); x != nil {
				return fmt.Sprintf("%v is known to %s only", x, p.Name)
			}
			continue
		}
		if first == nil {
			first = p
			continue
		}
		v1, d1 := first.m.Fingerprint()
		v2, d2 := p.m.Fingerprint()
		switch {
		case v1 != v2:
			return first.Name + " and " + p.Name + " have seen different writes"
		case d1 != d2:
			return first.Name + " and " + p.Name + " hold different writes"
		}
		for _, key := range w.oracle.keys {
			a, inA := first.m.Get(first.Instant(), key)
			b, inB := p.m.Get(p.Instant(), key)
			if (a != b || inA != inB) && !w.fleeting(key) {
				return key + " is " + or(a, "absent") + " on " + first.Name + " and " + or(b, "absent") + " on " + p.Name
			}
		}
	}
	return ""
}

// fleeting reports whether pods may differ on a key for a while: it has deadlines, and clocks differ, or owners, and
// their last frames came at different times.
func (w *World) fleeting(key string) bool {
	return slices.ContainsFunc(w.oracle.byKey[key], func(x *write) bool {
		return x.deadline != 0 && x.deadline+int64(2*time.Hour) > Epoch+w.queue.now ||
			x.Owned && w.queue.now < w.healed+int64(w.LateDelay+3*w.Lease)
	})
}

// checkRemains compares what is left of every key with what was written. G2: the newest write remains. G3: a deleted
// key never comes back. late is after everything was collected.
func (w *World) checkRemains(late bool) {
	for _, p := range w.Live() {
		if p.picky() {
			continue
		}
		for _, key := range w.oracle.keys {
			if w.Merge {
				p.checkJoin(key)
			} else {
				p.checkNewest(key, late)
			}
		}
	}
}

func (p *Pod) checkNewest(key string, late bool) {
	o := &p.world.oracle
	var known []*write
	var top *write
	for _, x := range o.byKey[key] {
		if o.covered(x) {
			known = append(known, x)
			if top == nil || x.version.Compare(top.version) > 0 {
				top = x
			}
		}
	}
	value, served := p.m.Get(p.Instant(), key)
	if x := o.named[value]; served && x != nil && !o.covered(x) && (top == nil || x.version.Compare(top.version) > 0) {
		return // it outlived what took its place, which only a pod knew of that refuses it
	}
	if top == nil {
		if served {
			p.world.Fail("G2", "%s shows %s=%q, of which no live pod has seen a write", p.Name, key, value)
		}
		return
	}
	right := served && !top.Delete && value == top.Value
	switch {
	case top.Delete:
		right = !served
	case top.Owned:
		if up := top.author.m != nil && top.author.id == top.run; !late {
			right = right || !served
		} else if !up {
			right = !served
		}
	case top.deadline != 0:
		right = right && Epoch+p.world.queue.now < top.deadline+int64(2*time.Hour) || !served
	}
	if right {
		return
	}
	// A delete or an expiry that is forgotten does not stand against a write that it had not seen.
	if served && (top.Delete || top.deadline != 0 || top.Owned) {
		for _, x := range known {
			if x.Value != value || x.Delete {
				continue
			}
			if !slices.ContainsFunc(known, func(y *write) bool { return y.sees(x) && y.Value != x.Value }) {
				return
			}
		}
	}
	rule := "G2"
	if x := o.named[value]; served && x != nil && o.removed(x, o.covered) != nil {
		rule = "G3"
	}
	p.world.Fail(rule, "%s shows %s=%q (%v), but the newest write is %v", p.Name, key, value, served, top)
}

func (p *Pod) checkJoin(key string) {
	o := &p.world.oracle
	value, served := p.m.Get(p.Instant(), key)
	var have []string
	if served {
		have = o.elements(value)
	}
	for _, x := range o.byKey[key] {
		if x.Delete || !o.covered(x) {
			continue
		}
		lasting := x.deadline == 0 && !x.Owned
		overtaken := slices.ContainsFunc(o.byKey[key], func(d *write) bool {
			return d.Delete && d.version.Compare(x.version) > 0 && (o.covered(d) || o.builtOn(d, x.run))
		})
		switch in := slices.Contains(have, x.Value); {
		case !in && lasting && !overtaken:
			p.world.Fail("G2", "%s shows %s=%q without %v", p.Name, key, value, x)
		case in && o.removed(x, o.covered) != nil:
			p.world.Fail("G3", "%s shows %v, deleted by %v", p.Name, x, o.removed(x, o.covered))
		}
	}
}

// secret returns a write that the pod has seen and some pod that takes everything has not.
func (o *oracle) secret(p *Pod) *write {
	for _, key := range o.keys {
		for _, x := range o.byKey[key] {
			if !p.m.Covers(x.version.Dot) {
				continue
			}
			for _, q := range o.world.Live() {
				if !q.picky() && !q.m.Covers(x.version.Dot) {
					return x
				}
			}
		}
	}
	return nil
}

// builtOn reports whether a live pod has seen a write that the given run made after it had seen d: what the run wrote
// before d is not part of it.
func (o *oracle) builtOn(d *write, run Dot) bool {
	return slices.ContainsFunc(o.byKey[d.Key], func(y *write) bool { return y.run == run && y.sees(d) && o.covered(y) })
}
