package podshare

import "iter"

// partView is one write of a key as repair, snapshots and the counts see it, with or without a Merger.
type partView[T any] struct {
	*write
	deadline int64
	owner    *owner
	batch    batchRange
	replaced []dot
	encoded  []byte // nil where the store does not keep it: encode value
	value    *T
}

// deleted reports whether a part is dead in a way that no reader may take for an expiry: nothing brings it back. That
// is a delete, or a part of a joined state that vanished (see vanish).
func (p *partView[T]) deleted() bool {
	return p.flags&flagDeleted != 0 || p.flags&flagExpired != 0 && p.deadline == 0
}

// run is the dots that stand or fall with this one: its batch, or itself.
func (p *partView[T]) run() span {
	if p.batch.n > 1 {
		return span{First: p.batch.first, Last: p.batch.first + p.batch.n - 1}
	}
	return span{First: p.seq, Last: p.seq}
}

// parts yields the writes that an entry holds: one, or with a Merger its delete and each origin's part.
func (r *replica[T]) parts(e *entry[T]) iter.Seq[partView[T]] {
	return func(yield func(partView[T]) bool) {
		x := e.Val.ext
		if x == nil {
			yield(partView[T]{write: &e.Val.write, value: &e.Val.value})
			return
		}
		if x.join == nil {
			yield(partView[T]{
				write: &e.Val.write, deadline: x.deadline, owner: x.owner, batch: x.batch,
				replaced: x.replaced, encoded: x.encoded, value: &e.Val.value,
			})
			return
		}
		if x.join.deleted.seq != 0 && !yield(partView[T]{write: &x.join.deleted}) {
			return
		}
		for i := range x.join.parts {
			p := &x.join.parts[i]
			if !yield(partView[T]{write: &p.write, deadline: p.deadline, owner: p.owner, batch: p.batch, encoded: p.encoded}) {
				return
			}
		}
	}
}

// holds returns the write of e that has the given dot.
func (r *replica[T]) holds(e *entry[T], d dot) (partView[T], bool) {
	if e != nil {
		for p := range r.parts(e) {
			if p.dot() == d {
				return p, true
			}
		}
	}
	return partView[T]{}, false
}

// countIn and countOut keep the counts that depend on what is held. Whatever is pushed on a heap stays
// there until its time comes and is then looked up by its dot; one that is gone by then is skipped. What
// cur held already is on its heap.
func (r *replica[T]) countIn(cur, e *entry[T]) {
	if e.Val.dead() {
		r.tombs++
	} else {
		r.live++
	}
	if e.Val.ext == nil { // the hot path: a plain write
		r.origins.at(e.Val.origin).held++
		if e.Val.dead() {
			r.graves.wanted++
			r.bury(aged{at: e.Val.stamp, key: e.Key, dot: e.Val.dot()})
		} else {
			r.digest += r.dotHash(e.Val.dot())
		}
		return
	}
	for p := range r.parts(e) {
		r.origins.at(p.origin).held++
		before, known := r.holds(cur, p.dot())
		known = known && before.dead() == p.dead()
		if p.dead() {
			r.graves.wanted++
			if !known {
				r.bury(aged{at: p.age(), key: e.Key, dot: p.dot()})
			}
			continue
		}
		if p.deadline != 0 {
			r.deadlines.wanted++
			if !known {
				r.deadlines.push(aged{at: p.deadline, key: e.Key, dot: p.dot()}, r.stillDue)
			}
		}
		switch {
		case p.owner != nil:
			p.owner.add(e.Key, r.dotHash(p.dot()))
		case p.deadline == 0:
			r.digest += r.dotHash(p.dot())
		}
	}
}

func (r *replica[T]) countOut(e *entry[T]) {
	if e.Val.dead() {
		r.tombs--
	} else {
		r.live--
	}
	if e.Val.ext == nil {
		r.origins.at(e.Val.origin).held--
		if e.Val.dead() {
			r.graves.wanted--
		} else {
			r.digest -= r.dotHash(e.Val.dot())
		}
		return
	}
	for p := range r.parts(e) {
		r.origins.at(p.origin).held--
		if p.dead() {
			r.graves.wanted--
			continue
		}
		if p.deadline != 0 {
			r.deadlines.wanted--
		}
		switch {
		case p.owner != nil:
			p.owner.remove(e.Key, r.dotHash(p.dot()))
		case p.deadline == 0:
			r.digest -= r.dotHash(p.dot())
		}
	}
}

// age is the time from which a dead write counts as remembered: when it was written, or when it expired.
func (p *partView[T]) age() int64 {
	if p.flags&flagExpired != 0 && p.deadline != 0 {
		return p.deadline
	}
	return p.stamp
}

// dotHash is what one live write adds to the digest. Equal contents give equal digests on every pod.
func (r *replica[T]) dotHash(d dot) uint64 {
	id := r.origins.at(d.origin).id
	return mix(mix(id.Boot, id.Node), d.seq)
}
