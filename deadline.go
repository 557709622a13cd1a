package podshare

// A write with a deadline is served until then and latched as expired after it: from a live dot to a dead
// one, on each pod by its own now, and never back. The digest leaves such writes out, so that pods whose
// clocks differ need not compare.

// stillDue reports whether an item of the deadline heap stands for a live write.
func (r *replica[T]) stillDue(a aged) bool {
	p, ok := r.holds(r.lookup([]byte(a.key)), a.dot)
	return ok && !p.dead() && p.deadline == a.at
}

// expire latches what is past its deadline.
func (r *replica[T]) expire(at instant) {
	if !r.on(ruleLatchExpired) {
		return
	}
	now := r.clock.now(at)
	for range sweepBudget {
		a, ok := r.deadlines.first()
		if !ok || a.at > now {
			return
		}
		r.deadlines.pop()
		if r.stillDue(a) {
			r.latch(r.lookup([]byte(a.key)), a.dot, flagExpired)
		}
	}
}

// latch moves one live write of e to a dead state, keeping its dot and stamp.
func (r *replica[T]) latch(e *entry[T], d dot, state flags) { r.put(e, r.latched(e, d, state)) }

// vanish makes one live write of e dead because another replica has seen it dead and forgotten why. The
// dot stays, as a tombstone, until it is collected with the others.
func (r *replica[T]) vanish(e *entry[T], d dot) {
	state := flagDeleted
	if e.Val.ext != nil && e.Val.ext.join != nil {
		state = flagExpired // as a delete it would drop other parts; without a deadline it is known for what it is
	}
	r.latch(e, d, state)
	r.count.vanished++
}

func (r *replica[T]) latched(e *entry[T], d dot, state flags) *entry[T] {
	if x := e.Val.ext; x != nil && x.join != nil {
		next := &join[T]{deleted: x.join.deleted, parts: append([]part[T](nil), x.join.parts...)}
		for i := range next.parts {
			if p := &next.parts[i]; p.dot() == d {
				p.flags |= state
				p.encoded, p.owner = nil, nil
			}
		}
		return r.refold(e, next)
	}
	next := &entry[T]{Key: e.Key, Val: item[T]{write: e.Val.write}}
	next.Val.flags |= state
	var x ext[T]
	if e.Val.ext != nil {
		x = ext[T]{batch: e.Val.ext.batch, deadline: e.Val.ext.deadline, replaced: e.Val.ext.replaced}
	}
	if r.group != nil {
		x.commit = r.group.commit
	}
	next.Val.ext = r.intern(&x)
	return next
}
