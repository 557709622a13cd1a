package podshare

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// With a Merger a key holds its newest delete and one part per origin: the join of what that origin wrote
// since it last saw a delete. A Set joins into its own origin's part and sends only that; a delete drops
// the parts ordered before it, known or not, and none after it. Readers get the parts folded.
//
// That is again a join semilattice: the state is, per origin, the maximum of its parts by sequence number,
// and the maximum delete; the fold is a function of the state. The Merger itself may be as odd as it
// likes, replicas converge all the same, for they fold equal parts in equal order. If it is a join, the
// result is the join of all writes that no delete removed.
type join[T any] struct {
	deleted write     // the newest delete; seq 0: none
	parts   []part[T] // by node and boot, the order of folding; each ordered after deleted
}

// part is what one origin contributes to a key. Its value is kept encoded only, so that a Merger that
// changes its arguments hurts nobody.
type part[T any] struct {
	write
	deadline int64
	owner    *owner
	batch    batchRange
	encoded  []byte
}

// vanished reports whether a part is dead because another pod has seen it dead and forgotten why: see replica.vanish.
func (p *part[T]) vanished() bool { return p.flags&flagExpired != 0 && p.deadline == 0 }

// joinOf is what a key is folded from; nothing for a key that is not held.
func joinOf[T any](e *entry[T]) *join[T] {
	if e == nil || e.Val.ext == nil || e.Val.ext.join == nil {
		return &join[T]{}
	}
	return e.Val.ext.join
}

// joinUpdate returns the state of a key with an update joined in, nil if it changes nothing.
func (r *replica[T]) joinUpdate(at instant, cur *entry[T], u *update[T]) (*entry[T], error) {
	old := joinOf(cur)
	next := &join[T]{deleted: old.deleted}
	os := &r.origins
	if u.flags&flagDeleted != 0 {
		if old.deleted.seq != 0 && !os.older(&old.deleted, &u.write) {
			return nil, nil //nolint:nilnil // nothing to do, and nothing wrong
		}
		next.deleted = u.write
		for i := range old.parts {
			if os.older(&u.write, &old.parts[i].write) {
				next.parts = append(next.parts, old.parts[i])
			}
		}
		return r.fold(cur, u, next)
	}
	if old.deleted.seq != 0 && os.older(&u.write, &old.deleted) && r.on(ruleDeleteDropsOlder) {
		return nil, nil //nolint:nilnil // deleted before it came; what it replaced is older still
	}
	for i := range old.parts {
		p := &old.parts[i]
		switch {
		case p.origin == u.origin && p.seq >= u.seq:
			return nil, nil //nolint:nilnil // a later write of the origin holds this one already
		case p.origin == u.origin, slices.Contains(u.replaced, p.dot()):
		default:
			next.parts = append(next.parts, *p)
		}
	}
	p := part[T]{write: u.write, deadline: u.deadline, batch: u.batch, encoded: bytes.Clone(u.encoded)}
	if p.deadline != 0 && !p.dead() && p.deadline <= r.clock.now(at) {
		p.flags |= flagExpired
	}
	if p.dead() {
		p.encoded = nil
	} else if p.flags&flagOwned != 0 {
		p.owner = r.ownerOf(at, p.origin)
	}
	next.insert(os, &p)
	return r.fold(cur, u, next)
}

// joinLocal joins a local write into this origin's own part. On return u is what to send: the joined value,
// and the dots that it takes the place of. With again the value is that of the own part already: a Merger that is not
// idempotent would change it.
func (r *replica[T]) joinLocal(at instant, cur *entry[T], u *update[T], again bool) (*entry[T], error) {
	old := joinOf(cur)
	u.replaced = r.scratch.replaced[:0]
	if u.flags&flagDeleted != 0 {
		if old.deleted.seq != 0 {
			u.replaced = append(u.replaced, old.deleted.dot())
		}
		for i := range old.parts {
			if len(u.replaced) < wire.MaxReplaced {
				u.replaced = append(u.replaced, old.parts[i].dot())
			}
		}
		r.scratch.replaced = u.replaced
		return r.joinUpdate(at, cur, u)
	}
	value, joined := u.value, false
	taken := 0
	lasting := lasts(u.flags, u.deadline) // one that passes must not last for what it takes over
	for i := range old.parts {
		p := &old.parts[i]
		if p.origin != self && (!lasting || taken == maxTakenOver || !r.abandoned(at, p)) {
			continue
		}
		if p.origin != self {
			taken++
		}
		u.replaced = append(u.replaced, p.dot())
		if p.dead() || again || p.deadline != 0 && p.deadline <= r.clock.now(at) {
			continue
		}
		if !joined { // the Merger may change its arguments, and u.value is the caller's
			var err error
			if value, err = r.cfg.codec.decode(u.encoded); err != nil {
				return nil, err
			}
		}
		before, err := r.cfg.codec.decode(p.encoded)
		if err != nil {
			return nil, err
		}
		if value, err = r.cfg.merge(before, value); err != nil {
			return nil, err
		}
		joined = true
		u.outlive(p)
	}
	r.scratch.replaced = u.replaced
	if joined {
		var err error
		if u.encoded, err = r.cfg.codec.encode(value); err != nil {
			return nil, err
		}
		if err := r.cfg.limits.checkValue(u.encoded); err != nil {
			return nil, err
		}
	}
	return r.joinUpdate(at, cur, u)
}

// lasts reports whether a write goes on until it is replaced or deleted.
func lasts(f flags, deadline int64) bool { return f&flagOwned == 0 && deadline == 0 }

// outlive makes an update last at least as long as a part that is joined into it: for good if one of the two does, with
// this store if one of them is owned, else until the later deadline.
func (u *update[T]) outlive(p *part[T]) {
	switch {
	case lasts(u.flags, u.deadline) || lasts(p.flags, p.deadline):
		u.flags &^= flagOwned
		u.deadline = 0
	case (u.flags|p.flags)&flagOwned != 0:
		u.flags |= flagOwned
		u.deadline = 0
	default:
		u.deadline = max(u.deadline, p.deadline)
	}
}

// maxTakenOver bounds the parts of others that one Set takes over, for it names them. The next Set goes on.
const maxTakenOver = 32

// abandoned reports whether a part is this pod's to take over: its origin has been silent for longer than
// tombstones are kept, and it lasts by itself. Otherwise a key would gather a part per deploy.
func (r *replica[T]) abandoned(at instant, p *part[T]) bool {
	return !p.dead() && lasts(p.flags, p.deadline) &&
		r.clock.now(at)-p.stamp > int64(r.cfg.tombstoneTTL) &&
		r.silentFor(at, p.origin) > int64(r.cfg.tombstoneTTL)
}

// insert adds p in folding order.
func (j *join[T]) insert(os *origins, p *part[T]) {
	i, _ := slices.BinarySearchFunc(j.parts, p, func(a part[T], b *part[T]) int {
		oa, ob := os.at(a.origin), os.at(b.origin)
		return cmp.Or(cmp.Compare(oa.node, ob.node), cmp.Compare(oa.id.Boot, ob.id.Boot))
	})
	j.parts = slices.Insert(j.parts, i, *p)
}

// fold makes the entry of a joined state. Its write is the newest of all, so that versions never fall; it is
// dead when no live part remains. A codec or Merger that fails gives an error and an entry all the same, whose value
// lacks the parts concerned: news that do not fold are refused, but what is over must go in any case.
func (r *replica[T]) fold(cur *entry[T], u *update[T], j *join[T]) (*entry[T], error) {
	e := &entry[T]{}
	if cur != nil {
		e.Key = cur.Key
	} else {
		e.Key = string(u.key)
	}
	x := &ext[T]{join: j}
	if r.group != nil {
		x.commit = r.group.commit
	}
	e.Val.ext = x
	e.Val.write = j.deleted
	for i := range j.parts {
		if p := &j.parts[i]; e.Val.seq == 0 || r.origins.older(&e.Val.write, &p.write) {
			e.Val.write = p.write
			if p.vanished() {
				e.Val.flags ^= flagExpired | flagDeleted // readers are told of a delete
			}
		}
	}
	var live int
	var failed error
	value, live, failed := r.joined(j, (*part[T]).shown)
	e.Val.value = value
	x.passing = slices.ContainsFunc(j.parts, func(p part[T]) bool { return p.shown() && (p.deadline != 0 || p.owner != nil) })
	e.Val.flags &^= flagOwned
	if live > 0 {
		e.Val.flags &^= flagsDead
	} else if !e.Val.dead() {
		e.Val.flags |= flagExpired // only parts of owners that were not heard yet
	}
	return e, failed
}

// joined folds the values of some parts of a joined state, and counts them. Those that codec or Merger fail for are left
// out. Any goroutine may call it.
func (r *replica[T]) joined(j *join[T], wanted func(*part[T]) bool) (value T, n int, failed error) {
	for i := range j.parts {
		p := &j.parts[i]
		if !wanted(p) {
			continue
		}
		v, err := r.cfg.codec.decode(p.encoded)
		if err == nil && n > 0 {
			v, err = r.cfg.merge(value, v)
		}
		if err != nil {
			failed = err
			continue
		}
		value = v
		n++
	}
	return value, n, failed
}

// shown reports whether a part is folded into what readers see: it is live, and its owner, if any, was heard.
func (p *part[T]) shown() bool { return !p.dead() && (p.owner == nil || p.owner.heard.Load()) }

// remaining folds what is served of a joined state at this moment, for a reader that comes between the time of a part
// and its latching.
func (r *replica[T]) remaining(at instant, j *join[T]) (value T, served bool) {
	value, n, _ := r.joined(j, func(p *part[T]) bool { return !p.dead() && r.inTime(at, p.deadline, p.owner) })
	return value, n > 0
}

// overdue reports whether a part that is folded into a joined value is not served any more.
func (r *replica[T]) overdue(at instant, j *join[T]) bool {
	return slices.ContainsFunc(j.parts, func(p part[T]) bool { return p.shown() && !r.inTime(at, p.deadline, p.owner) })
}

// refold is fold for a state that must take the place of e whatever codec and Merger say.
func (r *replica[T]) refold(e *entry[T], j *join[T]) *entry[T] {
	next, err := r.fold(e, nil, j)
	if err != nil {
		r.report(&KeyError{Key: e.Key, Err: err})
	}
	return next
}

// sameParts reports whether two states of a key are folded from the same live writes: nothing to tell a
// watcher of.
func sameParts[T any](a, b *entry[T]) bool {
	if a.Val.ext == nil || b.Val.ext == nil || a.Val.ext.join == nil || b.Val.ext.join == nil {
		return false
	}
	live := func(j *join[T]) []dot {
		var dots []dot
		for i := range j.parts {
			if p := &j.parts[i]; p.shown() {
				dots = append(dots, p.dot())
			}
		}
		return dots
	}
	return slices.Equal(live(a.Val.ext.join), live(b.Val.ext.join))
}
