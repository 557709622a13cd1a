package podshare

import "slices"

// A delete, an expiry or a lapse leaves a tombstone: an entry that readers do not see and that keeps
// older writes out. It is collected when its age, counted from when it was written, exceeds the tombstone
// TTL. What must then still be known for the key to stay dead is kept in three places: the dots stay
// covered; the GC mark says that a pod which has not seen all up to it needs a full comparison; the floor
// makes later writes of forgotten keys order after the delete.

// bury queues a dead write for collection.
func (r *replica[T]) bury(a aged) {
	a.exchange = r.exchanges
	r.graves.push(a, r.stillDead)
	if r.graves.wanted > r.cfg.limits.Tombstones {
		r.collectAt = 0 // at once
	}
}

func (r *replica[T]) stillDead(a aged) bool {
	p, ok := r.holds(r.lookup([]byte(a.key)), a.dot)
	return ok && p.dead()
}

// collect forgets the tombstones whose time has come, and the oldest ones above the limit. Those that may not go yet
// linger, and are looked at again: all of them in the time of one interval.
func (r *replica[T]) collect(at instant) {
	r.collectAt = never
	every := int64(r.cfg.collectEvery)
	if every > 0 {
		r.collectAt = at.mono + every/int64(1+len(r.lingering)/sweepBudget)
	}
	for n := 0; r.graves.wanted > r.cfg.limits.Tombstones && len(r.graves.items)+len(r.lingering) > 0; n++ {
		if n == sweepBudget {
			r.collectAt = at.mono // there are more
			return
		}
		r.forgetOldest(at)
	}
	if r.cutOff() && r.on(ruleCollectInContact) {
		return
	}
	again := min(len(r.lingering), sweepBudget)
	if every == 0 {
		again = min(again, 2) // at each write
	}
	for range again {
		a := r.lingering[0]
		r.lingering = r.lingering[1:]
		r.collectOne(at, a)
	}
	now := r.clock.now(at)
	for range sweepBudget {
		a, ok := r.graves.first()
		if !ok || now <= a.at+int64(r.cfg.tombstoneTTL) {
			return
		}
		r.graves.pop()
		r.collectOne(at, a)
	}
	if every > 0 {
		r.collectAt = at.mono // there are more
	}
}

// collectOne forgets a dead write of sufficient age, if it may be forgotten.
func (r *replica[T]) collectOne(at instant, a aged) {
	e := r.lookup([]byte(a.key))
	p, held := r.holds(e, a.dot)
	switch {
	case !held || !p.dead():
	case r.collectible(a, &p):
		r.forget(at, e, a.dot)
	default:
		r.lingering = append(r.lingering, a)
	}
}

// collectOnWrite collects after a write, where nothing else does; not within a group, whose end would put back what
// it removes.
func (r *replica[T]) collectOnWrite(at instant) {
	if r.cfg.collectEvery == 0 && r.group == nil {
		r.collect(at)
	}
}

// collectible reports whether a dead write of sufficient age may be forgotten.
func (r *replica[T]) collectible(a aged, p *partView[T]) bool {
	if r.peers.met && r.exchanges == a.exchange && r.on(ruleCollectAfterExchange) {
		return false // another pod may just be sending what it is needed against
	}
	if p.flags&flagLapsed != 0 && !r.saidGoodbye(p.origin) && r.on(ruleKeepLapsed) {
		return false // its owner may return, and must learn that it lapsed and was not deleted
	}
	// A hole below one of its dots may be an older write of the key that only a pod far away holds: without
	// the tombstone nothing would tell that write from news.
	whole := func(d dot) bool { return r.origins.at(d.origin).seen.head >= d.seq }
	return !r.on(ruleCollectContiguous) || whole(p.dot()) && !slices.ContainsFunc(p.replaced, func(d dot) bool { return !whole(d) })
}

// forgetOldest makes room below the limit: the oldest goes, whatever else is asked of a collection.
func (r *replica[T]) forgetOldest(at instant) {
	var a aged
	if len(r.lingering) > 0 { // they are the older ones
		a, r.lingering = r.lingering[0], r.lingering[1:]
	} else {
		a, _ = r.graves.first()
		r.graves.pop()
	}
	e := r.lookup([]byte(a.key))
	if p, held := r.holds(e, a.dot); held && p.dead() {
		r.forget(at, e, a.dot)
		r.count.forced++
	}
}

// forget drops one dead write of an entry, and the entry when nothing else is in it.
func (r *replica[T]) forget(at instant, e *entry[T], d dot) {
	p, _ := r.holds(e, d)
	st := r.origins.at(d.origin)
	st.mark = max(st.mark, d.seq)
	r.raiseFloor(at, p.stamp)
	r.count.collected++
	if next := r.without(e, d); next != nil {
		r.put(e, next)
		return
	}
	r.noteChange(e.Key, e, nil)
	r.countOut(e)
	r.index.Remove(e.Key)
	if len(r.followers) > 0 {
		r.followers.step(e.Key, nil)
	}
}

// raiseFloor notes the stamp of what was forgotten here or elsewhere. Nothing younger than the tombstone TTL is
// forgotten by choice, so where no clock is wrong by more than that, no such stamp is further ahead than it. One
// that is was forced out, or made up: it would drag the stamps of all new keys along.
func (r *replica[T]) raiseFloor(at instant, stamp int64) {
	if stamp <= r.clock.now(at)+int64(r.cfg.tombstoneTTL) {
		r.floor = max(r.floor, stamp)
	}
}

// without returns e with one dead write removed from its join, nil if nothing is left.
func (r *replica[T]) without(e *entry[T], d dot) *entry[T] {
	if e.Val.ext == nil || e.Val.ext.join == nil {
		return nil
	}
	old := e.Val.ext.join
	next := &join[T]{deleted: old.deleted}
	if old.deleted.dot() == d {
		next.deleted = write{}
	}
	for i := range old.parts {
		if old.parts[i].dot() != d {
			next.parts = append(next.parts, old.parts[i])
		}
	}
	if next.deleted.seq == 0 && len(next.parts) == 0 {
		return nil
	}
	return r.refold(e, next)
}
