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

	keys map[string]struct{} // live ones
	hash uint64              // Σ hash(dot) over them
}

func (o *owner) add(key string, hash uint64) {
	o.keys[key] = struct{}{}
	o.hash += hash
}

func (o *owner) remove(key string, hash uint64) {
	delete(o.keys, key)
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
	ow = &owner{keys: map[string]struct{}{}}
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
	for _, key := range slices.Sorted(maps.Keys(ow.keys)) {
		e := r.lookup([]byte(key))
		if e.Val.ext.join != nil {
			if next, err := r.fold(e, nil, e.Val.ext.join); err == nil {
				r.put(e, next)
			}
			continue
		}
		r.tell(EventSet, e)
	}
}

// lapse latches the keys of origins that have been silent for the lease or said goodbye.
func (r *replica[T]) lapse(at instant) {
	for _, o := range slices.Sorted(maps.Keys(r.owners)) {
		ow := r.owners[o]
		if o == self || at.mono < ow.lapseAt.Load() {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(ow.keys)) {
			e := r.lookup([]byte(key))
			for p := range r.parts(e) {
				if p.origin == o && p.owner != nil {
					r.latch(e, p.dot(), flagLapsed)
					break
				}
			}
		}
		if len(ow.keys) == 0 {
			delete(r.owners, o)
		}
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

// mayRewrite limits how often an owned key that lapsed elsewhere is written again: once a lease.
func (r *replica[T]) mayRewrite(at instant, key string) bool {
	if last, ok := r.rewritten[key]; ok && at.mono-last < r.lease() {
		return false
	}
	if r.rewritten == nil || len(r.rewritten) > 1024 {
		maps.DeleteFunc(r.rewritten, func(_ string, last int64) bool { return at.mono-last >= r.lease() })
	}
	if r.rewritten == nil {
		r.rewritten = map[string]int64{}
	}
	r.rewritten[key] = at.mono
	return true
}
