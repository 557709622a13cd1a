package sim

import (
	"fmt"
	"slices"
	"strings"
)

// oracle knows every write that was issued, in its order, and what its author had seen.
type oracle struct {
	world *World
	byKey map[string][]*write
	keys  []string // in order of first use
	byDot map[Dot]*write
	named map[string]*write // by value: values are unique
	batch map[string][]*batch
}

// write is one write as it was issued.
type write struct {
	Op
	version  Version
	author   *Pod
	run      Dot
	index    int    // in byKey
	saw      []bool // by index: the earlier writes of the key that its author had seen
	deadline int64  // wall, of the author; 0: none
	batch    *batch
	rewrite  bool // the machine itself wrote it
}

type batch struct{ writes []*write }

func (o *oracle) init(w *World) {
	*o = oracle{world: w, byKey: map[string][]*write{}, byDot: map[Dot]*write{}, named: map[string]*write{}, batch: map[string][]*batch{}}
}

// sees reports whether the author of w had seen x, a write of the same key.
func (w *write) sees(x *write) bool { return x.index < len(w.saw) && w.saw[x.index] }

func (w *write) String() string {
	what := "set " + clip(w.Value)
	if w.Delete {
		what = "delete"
	}
	return fmt.Sprintf("%s %s by %s (%v)", w.Key, what, w.author.Name, w.version)
}

func (v Version) String() string {
	s := fmt.Sprintf("%s/%x/%d@%+.6fs", v.Node, v.Boot&0xffff, v.Seq, float64(v.Stamp-Epoch)/1e9)
	if v.Seed {
		s += " seed"
	}
	if v.Dead {
		s += " dead"
	}
	return s
}

// past is what a pod knew of a key before it wrote.
type past struct {
	held Version
	saw  []bool
}

func (o *oracle) before(p *Pod, ops []Op) []past {
	known := make([]past, len(ops))
	for i, op := range ops {
		known[i].held, _ = p.m.Held(op.Key)
		known[i].saw = o.seen(p, op.Key)
	}
	return known
}

// seen says which of the writes of a key the pod covers.
func (o *oracle) seen(p *Pod, key string) []bool {
	writes := o.byKey[key]
	saw := make([]bool, len(writes))
	for i, w := range writes {
		saw[i] = p.m.Covers(w.version.Dot)
	}
	return saw
}

// wrote notes those of the writes that the machine made.
func (o *oracle) wrote(p *Pod, at Instant, ops []Op, before []past) {
	b := &batch{}
	for i, op := range ops {
		v, _ := p.m.Held(op.Key)
		if v.Dot == before[i].held.Dot || v.Node != p.id.Node || v.Boot != p.id.Boot {
			continue
		}
		w := o.add(p, op, v, before[i].saw)
		if op.TTL != 0 {
			w.deadline = p.m.Now(at) + int64(op.TTL)
		}
		b.writes = append(b.writes, w)
		if !v.Seed {
			w.batch = b
		}
		o.checkCausality(w)
	}
	if len(b.writes) > 1 && !b.writes[0].version.Seed {
		for _, w := range b.writes {
			o.batch[w.Key] = append(o.batch[w.Key], b)
		}
	}
}

func (o *oracle) add(p *Pod, op Op, v Version, saw []bool) *write {
	v.Dead = false
	w := &write{Op: op, version: v, author: p, run: p.id, index: len(o.byKey[op.Key]), saw: saw}
	if o.byKey[op.Key] == nil {
		o.keys = append(o.keys, op.Key)
	}
	o.byKey[op.Key] = append(o.byKey[op.Key], w)
	o.byDot[v.Dot] = w
	if !op.Delete && o.named[op.Value] == nil {
		o.named[op.Value] = w
	}
	return w
}

// overdue reports whether the time of w is over. With Merge all that its origin writes of the key has the latest of the
// deadlines.
func (o *oracle) overdue(w *write, now int64) bool {
	if !o.world.Merge {
		return w.deadline <= now
	}
	return !slices.ContainsFunc(o.byKey[w.Key], func(x *write) bool {
		return x.run == w.run && !x.Delete && (x.deadline == 0 || x.deadline > now)
	})
}

// kept reports whether the content of an owned write lasts: with Merge all that its origin writes of the key does, once
// a part of it does.
func (o *oracle) kept(w *write) bool {
	return o.world.Merge && slices.ContainsFunc(o.byKey[w.Key], func(x *write) bool {
		return x.run == w.run && !x.Delete && !x.Owned
	})
}

// rewritten notes a write that the machine made by itself: an owned key that had lapsed somewhere.
func (o *oracle) rewritten(p *Pod, key string, v Version, value string) {
	var old *write
	for _, e := range o.elements(value) {
		if w := o.named[e]; w != nil && w.run == p.id {
			old = w // with Merge a part has all that its origin wrote
		}
	}
	if old == nil || !old.Owned {
		o.world.Fail("invariant", "%s made a write of its own: %s %v %q", p.Name, key, v, value)
	}
	w := o.add(p, old.Op, v, o.seen(p, key))
	w.deadline, w.rewrite = old.deadline, true
}

// G4: a write made by someone who had seen another write of that key is ordered after it.
func (o *oracle) checkCausality(w *write) {
	for _, x := range o.byKey[w.Key] {
		if w.sees(x) && !w.version.Seed && w.version.Compare(x.version) <= 0 && !o.hidden(w, x) {
			o.world.Fail("G4", "%v is ordered before %v, which its author had seen", w, x)
		}
	}
}

// G2 for acknowledgements: a pod that says that it has seen writes covers them.
func (o *oracle) checkSeen(p *Pod, upTo Dot) {
	for d := upTo; d.Seq > 0; d.Seq-- {
		if !p.m.Covers(d) {
			o.world.Fail("G2", "%s says that it has seen the writes of %s up to %d, and lacks %d", p.Name, d.Node, upTo.Seq, d.Seq)
		}
	}
	if upTo.Seq > 0 {
		o.world.Stats.Seen++
	}
}

// hidden reports whether the author of w may know of x only that it is over: what took the place of x is refused by it,
// or by the pod that told it, or was a delete or an expiry whose tombstone was collected while clocks were wrong by more than the TTL.
func (o *oracle) hidden(w, x *write) bool {
	return slices.ContainsFunc(o.byKey[w.Key], func(y *write) bool {
		return y.version.Compare(x.version) >= 0 &&
			(o.refused(y) || o.world.poisoned && (y.Delete || y.deadline != 0 || y.Owned))
	})
}

// covered reports whether a pod that lives has seen w. One that refuses what took the place of w never held it.
func (o *oracle) covered(w *write) bool {
	return slices.ContainsFunc(o.world.Live(), func(p *Pod) bool {
		return p.m.Covers(w.version.Dot) && !slices.ContainsFunc(o.byKey[w.Key], func(y *write) bool {
			return y.version.Compare(w.version) > 0 && o.refused(y) && !p.m.Covers(y.version.Dot)
		})
	})
}

// refused reports whether some pod refuses w. It then knows of what w replaced only that it is over, and so does
// whoever learns that from it.
func (o *oracle) refused(w *write) bool {
	return slices.ContainsFunc(o.world.pods, func(p *Pod) bool { return p.refuses(w) })
}

// removed returns a delete that the pod has seen, made by someone who had seen w, if nothing explains that w is
// still there: with Merge a later write of its origin, made without knowing of the delete, carries it on.
func (o *oracle) removed(w *write, covers func(*write) bool) *write {
	for _, d := range o.byKey[w.Key] {
		if !d.Delete || !d.sees(w) || !covers(d) {
			continue
		}
		carried := false
		for _, x := range o.byKey[w.Key] {
			carried = carried || o.world.Merge && !x.Delete && x.sees(w) && !x.sees(d)
		}
		if !carried {
			return d
		}
	}
	return nil
}

// carried reports whether the pod may have the value of w from a later write: with Merge a Set sends what its origin
// wrote before, too.
func (o *oracle) carried(p *Pod, w *write) bool {
	return o.world.Merge && slices.ContainsFunc(o.byKey[w.Key], func(x *write) bool {
		return !x.Delete && x.sees(w) && p.m.Covers(x.version.Dot)
	})
}

// elements splits what a reader is served into the values that were written.
func (o *oracle) elements(value string) []string {
	if !o.world.Merge {
		return []string{value}
	}
	return strings.Split(value, ",")
}
