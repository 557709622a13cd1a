package sim

import "slices"

// await is a caller that waits until n other pods hold every write that its pod made before.
type await struct {
	n    int
	head uint64
}

// Await waits for n other pods to hold all writes of this one. What ends the waiting is checked.
func (p *Pod) Await(n int) {
	p.awaits = append(p.awaits, &await{n: n, head: p.m.Await(p.Instant())})
	p.checkAwaits()
	p.settle()
}

// WantAwaited requires that nobody waits for other pods any more.
func (p *Pod) WantAwaited() {
	if len(p.awaits) > 0 {
		p.world.Fail("script", "%s still waits for %d pods, knows of %v", p.Name, p.awaits[0].n, p.m.Holders(p.awaits[0].head))
	}
}

// checkAwaits ends the waits that are over. It is called after each input, as callers look after each.
func (p *Pod) checkAwaits() {
	p.awaits = slices.DeleteFunc(p.awaits, func(a *await) bool {
		nodes := p.m.Holders(a.head)
		if len(nodes) < a.n {
			return false
		}
		p.m.Release()
		p.world.Stats.Awaited++
		p.world.Tracef("%s knows its %d writes held by %v", p.Name, a.head, nodes)
		for _, node := range nodes {
			p.checkHolds(node, a.head)
		}
		return true
	})
}

// checkAwaited requires, long after all faults, that those wait no more who wait for as many pods as there are.
func (w *World) checkAwaited() {
	others := -1
	for _, p := range w.Live() {
		if !p.picky() {
			others++
		}
	}
	for _, p := range w.Live() {
		for _, a := range p.awaits {
			if a.n <= others {
				w.Fail("G1", "%s still waits for %d pods, knows of %v", p.Name, a.n, p.m.Holders(a.head))
			}
		}
	}
}

// checkHolds requires that a node which counts as a holder of the pod's writes covers them. One that is down, or came
// back and was not heard since, may have lost them: nobody can know that.
func (p *Pod) checkHolds(node string, head uint64) {
	for _, q := range p.world.pods {
		if q.Node != node || q.m == nil || !p.heardLast(q) {
			continue
		}
		for d := (Dot{p.id.Node, p.id.Boot, head}); d.Seq > 0; d.Seq-- {
			if !q.m.Covers(d) {
				p.world.Fail("G2", "%s takes %s for a holder of its %d writes, which lacks %d", p.Name, q.Name, head, d.Seq)
			}
		}
	}
}

// heardLast reports whether of all runs of another pod's node the one of now was heard last.
func (p *Pod) heardLast(q *Pod) bool {
	now, heard := p.heard[q.id]
	for run, h := range p.heard {
		heard = heard && (run == q.id || run.Node != q.Node || h.at < now.at)
	}
	return heard
}

// WaitFor checks a reader's question for a version that it has seen on another pod: once the answer is yes, what the pod
// serves is not older. It reports the answer.
func (p *Pod) WaitFor(key string, v Version) bool {
	if !p.m.Reached(key, v) {
		return false
	}
	held, any := p.m.Held(key)
	behind := any && held.Compare(v) < 0 || p.world.Merge && !p.coversOf(v.Node, v.Seq) && !p.world.oracle.overtaken(key, v, p)
	if _, served := p.m.Get(p.Instant(), key); served && behind {
		p.world.Fail("G4", "%s has not reached %s %v, holds %v, and says that it has", p.Name, key, v, held)
	}
	return true
}

// coversOf reports whether the pod has seen the write of that number of any run of a node: a version does not name the
// run.
func (p *Pod) coversOf(node string, seq uint64) bool {
	return slices.ContainsFunc(p.world.runs, func(run Dot) bool {
		return run.Node == node && p.m.Covers(Dot{node, run.Boot, seq})
	})
}

// overtaken reports whether a delete that the pod has seen is ordered after a version.
func (o *oracle) overtaken(key string, v Version, p *Pod) bool {
	return slices.ContainsFunc(o.byKey[key], func(d *write) bool {
		return d.Delete && d.version.Compare(v) > 0 && p.m.Covers(d.version.Dot)
	})
}

// checkWaits asks each pod for what the others have seen: in between the answer must not be yes too early, and once all
// agree it must be yes. That of a delete from a clock far ahead may not, where it is forgotten: the floor does not
// follow such clocks.
func (w *World) checkWaits(agreed bool) {
	for _, key := range w.oracle.keys {
		for _, p := range w.Live() {
			v, held := p.m.Held(key)
			if !held {
				continue
			}
			for _, q := range w.Live() {
				if !q.WaitFor(key, v) && agreed && !p.picky() && !q.picky() && !v.Seed && (!v.Dead || !w.poisoned) && !w.fleeting(key) {
					w.Fail("G1", "%s does not reach %s %v, which %s has seen", q.Name, key, v, p.Name)
				}
			}
		}
	}
}
