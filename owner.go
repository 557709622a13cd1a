package podshare

import (
	"maps"
	"math"
	"slices"
	"sync/atomic"
)

// An owned write lives as long as the origin that wrote it. Its heartbeat is the renewal: as long as an
// origin is heard, all its keys live; when it has not been heard for the lease, or said goodbye, they
// lapse. Hearing means a frame from the origin itself, by this pod's monotonic clock: repair and snapshots
// tell of the past.

// owner is an origin as the keeper of its owned keys.
type owner struct {
	heard   atomic.Bool  // the origin itself was heard; until then its keys are held and not served
	lapseAt atomic.Int64 // monotonic ns from which its keys are not served any more

	keys  []string       // live ones, in an order that follows from what happened
	index map[string]int // of a key in keys
	hash  uint64         // Σ hash(dot) over them
}

func (o *owner) add(key string, hash uint64) {
	o.index[key] = len(o.keys)
	o.keys = append(o.keys, key)
	o.hash += hash
}

func (o *owner) remove(key string, hash uint64) {
	last := len(o.keys) - 1
	i := o.index[key]
	o.keys[i] = o.keys[last]
	o.index[o.keys[i]] = i
	o.keys[last] = ""
	o.keys = o.keys[:last]
	delete(o.index, key)
	o.hash -= hash
}

// serves reports whether owned keys are served at the monotonic time mono. Any goroutine may ask.
func (o *owner) serves(mono int64) bool { return o.heard.Load() && mono < o.lapseAt.Load() }

// ownerOf returns the keeper of an origin's owned keys. That of an origin not heard yet waits one lease
// for it.
func (r *replica[T]) ownerOf(at instant, o origin) *owner {
	ow := r.owners[o]
	if ow != nil {
		return ow
	}
	ow = &owner{index: map[string]int{}}
	r.owners[o] = ow
	ow.lapseAt.Store(at.mono + r.lease())
	switch p := r.origins.at(o).peer; {
	case o == self:
		ow.heard.Store(true)
		ow.lapseAt.Store(math.MaxInt64)
	case p != nil && !p.gone && at.mono < p.heard+r.lease():
		ow.heard.Store(true)
		ow.lapseAt.Store(p.heard + r.lease())
	case p != nil && p.gone:
		ow.lapseAt.Store(at.mono)
	}
	if !r.on(ruleServeHeardOwners) {
		ow.heard.Store(true)
	}
	return ow
}

// lease is how long owned keys outlive their origin's last sign of life: as configured, but never less
// than three heartbeats.
func (r *replica[T]) lease() int64 {
	return max(int64(r.cfg.lease), 3*r.interval())
}

// ownerHeard prolongs the keys of an origin, and shows those that were held back.
func (r *replica[T]) ownerHeard(at instant, o origin) {
	ow := r.owners[o]
	if ow == nil {
		return
	}
	ow.lapseAt.Store(at.mono + r.lease())
	if ow.heard.Swap(true) {
		return
	}
	for _, key := range slices.Clone(ow.keys) {
		e := r.lookup([]byte(key))
		if e.Val.ext.join != nil {
			next := r.refold(e, e.Val.ext.join)
			if r.put(e, next); r.shown(e) { // its parts are the same, but one of them is shown now
				r.out.changed(EventSet, next, false)
			}
			continue
		}
		r.out.changed(EventSet, e, true)
	}
}

// lapse latches the keys of origins that have been silent for the lease or said goodbye. Readers are not served them
// any more, so there is no hurry.
func (r *replica[T]) lapse(at instant) {
	r.lapseAt = never
	if !r.on(ruleLatchLapsed) {
		return
	}
	budget := sweepBudget
	for _, o := range slices.Sorted(maps.Keys(r.owners)) {
		ow := r.owners[o]
		if o == self || at.mono < ow.lapseAt.Load() {
			continue
		}
		for ; len(ow.keys) > 0; budget-- {
			if budget == 0 {
				r.lapseAt = at.mono // the next tick goes on at once
				return
			}
			e := r.lookup([]byte(ow.keys[len(ow.keys)-1]))
			for p := range r.parts(e) {
				if p.owner == ow {
					r.latch(e, p.dot(), flagLapsed) // and so takes the key from the owner
					break
				}
			}
		}
		delete(r.owners, o)
	}
}

// nextLapse is the monotonic time at which lapse has something to do next.
func (r *replica[T]) nextLapse() int64 {
	next := int64(math.MaxInt64)
	for _, ow := range r.owners {
		next = min(next, ow.lapseAt.Load())
	}
	return next
}

// ownedHash is the fingerprint of an origin's live owned keys as held here.
func (r *replica[T]) ownedHash(o origin) uint64 {
	if ow := r.owners[o]; ow != nil {
		return ow.hash
	}
	return 0
}

// keyedDot is a write and the key that it is of.
type keyedDot struct {
	key string
	dot dot
}

// rewriteLapsed gives owned keys of ours that lapsed elsewhere a new dot: of what waits, one frame.
func (r *replica[T]) rewriteLapsed(at instant) {
	for len(r.lapsed) > 0 {
		k := r.lapsed[0]
		e := r.lookup([]byte(k.key))
		if p, held := r.holds(e, k.dot); held && p.owner != nil {
			l, err := r.sameAgain(e, &p)
			if err == nil && !r.fitsFrame(recordBytes(len(l.key), len(l.encoded))) {
				return // the publisher has to take what is there
			}
			if r.mayRewrite(at, k.key) {
				if err == nil {
					r.quietly(func() { err = r.write(at, &l) }) // here nothing has happened to the key
				}
				if err != nil {
					r.report(&KeyError{Key: k.key, Err: err})
				}
			}
		}
		r.lapsed = r.lapsed[1:]
	}
	r.lapsed = nil
}

// sameAgain is the write of what an owned write holds already.
func (r *replica[T]) sameAgain(e *entry[T], p *partView[T]) (l localWrite[T], err error) {
	l = localWrite[T]{key: e.Key, flags: flagOwned, deadline: p.deadline, again: true}
	if l.encoded, err = r.encodedPart(p); err == nil {
		l.value, err = r.cfg.codec.decode(l.encoded)
	}
	return l, err
}

// mayRewrite limits how often an owned key that lapsed elsewhere is written again: once a lease.
func (r *replica[T]) mayRewrite(at instant, key string) bool {
	if !r.on(ruleRewriteLapsed) {
		return false
	}
	if last, ok := r.rewritten[key]; ok && at.mono-last < r.lease() {
		return false
	}
	if len(r.rewritten) >= r.rewrittenSweep {
		maps.DeleteFunc(r.rewritten, func(_ string, last int64) bool { return at.mono-last >= r.lease() })
		r.rewrittenSweep = 2*len(r.rewritten) + 1024
	}
	r.rewritten[key] = at.mono
	return true
}
