package podshare

import (
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// adoption is the state of another replica, or of a stored snapshot, as far as this one lacks it.
type adoption[T any] struct {
	updates []update[T]
	vector  map[origin]*seqSet // the dots it covers
	marks   map[origin]uint64
	floor   int64
	full    bool                 // held lists all that it holds
	held    map[origin]*heldDots // by origin of the dots
	unasked map[origin]*seqSet   // dots that the want pretended to have: not sent, and not dead for that
	refused []*update[T]         // by adopt: updates that this replica cannot take
}

// heldDots are the dots of one origin that a replica holds.
type heldDots struct {
	live, dead seqSet
}

func (s *adoption[T]) addVector(os *origins, v *wire.VectorEntry) {
	if s.vector == nil {
		s.vector, s.marks = map[origin]*seqSet{}, map[origin]uint64{}
	}
	o := os.intern(v.ID, "")
	s.marks[o] = max(s.marks[o], v.Mark)
	seen := s.vector[o]
	if seen == nil {
		s.vector[o] = &seqSet{head: v.Head, spans: v.Spans}
		return
	}
	seen.add(1, v.Head)
	for _, run := range v.Spans { // the entry goes on from an earlier chunk
		seen.add(run.First, run.Last)
	}
}

func (s *adoption[T]) addHeld(os *origins, h *wire.HeldEntry) {
	if s.held == nil {
		s.held = map[origin]*heldDots{}
	}
	o := os.intern(h.ID, "")
	d := s.held[o]
	if d == nil {
		d = &heldDots{}
		s.held[o] = d
	}
	for _, run := range h.Live {
		d.live.add(run.First, run.Last)
	}
	for _, run := range h.Dead {
		d.dead.add(run.First, run.Last)
	}
}

// hole adds a run to the set of an origin.
func hole(sets map[origin]*seqSet, o origin, run span) {
	if sets[o] == nil {
		sets[o] = &seqSet{}
	}
	sets[o].add(run.First, run.Last)
}

// covers reports whether the other replica has seen d.
func (s *adoption[T]) covers(d dot) bool {
	v := s.vector[d.origin]
	return v != nil && v.covers(d.seq)
}

// adopt merges the other state into this one, in one step for readers: its writes, the absences that it
// testifies to, and its vector. A write that is refused here, with all of its batch, stays uncovered: a
// covered dot that is not held is dead, and would be for everybody.
func (r *replica[T]) adopt(at instant, s *adoption[T]) {
	s.updates = slices.DeleteFunc(s.updates, func(u update[T]) bool {
		return u.origin == self && !r.origins.covers(u.dot()) // a write of ours that we never made
	})
	r.tryBatch(at, s.updates)
	holes := map[origin]*seqSet{}
	for i := range s.updates {
		u := &s.updates[i]
		if u.err == nil {
			continue
		}
		r.reportRefused(u)
		r.refuseKey(u.key, &u.write)
		run := span{First: u.seq, Last: u.seq}
		if u.batch.n > 1 && r.on(ruleRefuseBatch) {
			run = span{First: u.batch.first, Last: u.batch.first + u.batch.n - 1}
		}
		hole(holes, u.origin, run)
		for _, d := range u.replaced { // dead for the others by what this replica does not have
			if d.origin != self {
				hole(holes, d.origin, span{First: d.seq, Last: d.seq})
			}
		}
	}
	r.atomically(len(s.updates), func() {
		for i := range s.updates {
			u := &s.updates[i]
			if h := holes[u.origin]; h != nil && h.covers(u.seq) {
				s.refused = append(s.refused, u)
				r.refuseKey(u.key, &u.write)
				continue
			}
			r.take(at, u, s.vector)
			if u.err != nil { // a Merger that fails finds out only now
				r.reportRefused(u)
				hole(holes, u.origin, span{First: u.seq, Last: u.seq})
				s.refused = append(s.refused, u)
			} else if unasked := s.unasked[u.origin]; unasked != nil && unasked.covers(u.seq) {
				r.origins.cover(u.origin, u.seq, u.seq) // it came all the same; the join leaves it out
			}
		}
		if s.full && r.on(ruleAbsence) {
			r.applyAbsence(s)
		}
	})
	for o, run := range holes {
		r.refuse(at, o, run)
	}
	for o, seen := range s.vector {
		st := r.origins.at(o)
		if st.forgotten || o == self {
			continue // of our own writes nobody knows more than we do
		}
		except := seqSet{}
		if r.on(ruleHoles) {
			for _, sets := range []map[origin]*seqSet{holes, s.unasked} {
				if sets[o] != nil {
					except.join(sets[o], nil)
				}
			}
		}
		st.seen.join(seen, &except)
		st.mark = max(st.mark, s.marks[o])
		r.origins.touched(o, st)
	}
	r.raiseFloor(at, s.floor)
}

// take applies one adopted update. Dots that vector covers are left to be covered with it: a large answer
// would otherwise cover them one by one in no order.
func (r *replica[T]) take(at instant, u *update[T], vector map[origin]*seqSet) {
	if r.origins.covers(u.dot()) {
		if u.flags&(flagExpired|flagLapsed) != 0 {
			r.takeDead(u.key, u.dot(), u.flags)
		}
		return
	}
	if u.origin == self {
		return // a write of ours that we never made
	}
	cur := r.lookup(u.key)
	next, err := r.successor(at, cur, u)
	if err != nil {
		u.err = err
		return
	}
	if v := vector[u.origin]; vector != nil && (v == nil || !v.covers(u.seq)) {
		r.origins.cover(u.origin, u.seq, u.seq)
	}
	r.observe(at, &u.write)
	if next == nil {
		return
	}
	r.put(cur, next)
	r.count.repaired++
}

// takeDead learns that a write held live here is dead elsewhere. Our own owned keys that lapsed are the exception: we
// live, so they are written again.
func (r *replica[T]) takeDead(key []byte, d dot, state flags) {
	e := r.lookup(key)
	p, held := r.holds(e, d)
	if !held || p.dead() {
		return
	}
	if d.origin == self && p.owner != nil && state&flagLapsed != 0 {
		r.lapsed = append(r.lapsed, keyedDot{e.Key, d})
		return
	}
	r.latch(e, d, state&(flagExpired|flagLapsed))
}

// encodedPart returns the value of a live write as the codec writes it.
func (r *replica[T]) encodedPart(p *partView[T]) ([]byte, error) {
	if p.encoded != nil || p.value == nil {
		return p.encoded, nil
	}
	return r.cfg.codec.encode(*p.value)
}

// applyAbsence is the rule for writes whose delete nobody can send any more: what is live here, is not
// held there, and is covered there, is dead. What is not covered there is news to the other and stays.
func (r *replica[T]) applyAbsence(s *adoption[T]) {
	type fate struct {
		key   string
		dot   dot
		state flags
	}
	var fates []fate
	arrived := map[dot]bool{}
	for i := range s.updates {
		arrived[s.updates[i].dot()] = true
	}
	check := func(e *entry[T]) {
		for p := range r.parts(e) {
			d := p.dot()
			if p.dead() || arrived[d] || !s.covers(d) {
				continue
			}
			held := s.held[d.origin]
			switch {
			case held != nil && held.live.covers(d.seq):
			case held != nil && held.dead.covers(d.seq):
				state := flagExpired
				if p.owner != nil {
					state = flagLapsed
				}
				fates = append(fates, fate{e.Key, d, state})
			default:
				if _, refused := r.refusedWrite(unsafeBytes(e.Key)); refused {
					continue
				}
				fates = append(fates, fate{e.Key, d, flagDeleted})
			}
		}
	}
	v := r.index.View()
	for e := v.Next(); e != nil; e = v.Next() {
		check(r.lookup([]byte(e.Key)))
	}
	v.Close()
	slices.SortFunc(fates, func(a, b fate) int { return compareKeys(a.key, b.key) })
	for _, f := range fates {
		if f.state == flagDeleted {
			r.vanish(r.lookup([]byte(f.key)), f.dot)
			continue
		}
		r.takeDead([]byte(f.key), f.dot, f.state)
	}
}
