package podshare

import (
	"bytes"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// update is one write on its way into a replica: made here, or brought by a frame or a snapshot.
type update[T any] struct {
	write
	key      []byte
	value    T
	encoded  []byte // as the codec wrote it; belongs to the frame, copied if kept
	deadline int64
	batch    batchRange
	replaced []dot
	err      error // why the value is refused: too large, undecodable
}

// apply takes in one update and reports whether it changed the state. With [replica.adopt] it is the only
// place that covers dots on the strength of a frame.
//
// The order of writes is total, so of all updates of a key the newest remains, whichever came first: a
// join semilattice whose join is the maximum. Covering the dot makes a second arrival a no-op, also after
// the entry, or the tombstone that replaced it, is long gone.
func (r *replica[T]) apply(at instant, u *update[T]) bool {
	if u.err != nil {
		return false // not covered: repair will bring it again
	}
	if r.origins.covers(u.dot()) && r.on(ruleDropCovered) {
		r.count.duplicates++
		return false
	}
	if u.origin == self {
		return false // a write of ours that we never made
	}
	cur := r.lookup(u.key)
	next, err := r.successor(at, cur, u)
	if err != nil {
		u.err = err
		return false
	}
	r.origins.cover(u.origin, u.seq, u.seq)
	if r.on(ruleCoverReplaced) {
		for _, d := range u.replaced {
			if d.origin != self { // ours are covered, or were never made
				r.origins.cover(d.origin, d.seq, d.seq)
			}
		}
	}
	r.observe(at, &u.write)
	if next == nil {
		r.count.rejected++
		return false
	}
	r.put(cur, next)
	r.count.applied++
	return true
}

// observe takes note of the stamp of a received write, and reports one that is too far ahead: once a minute
// for each origin.
func (r *replica[T]) observe(at instant, w *write) {
	r.clock.observe(at, w.stamp)
	ahead := w.stamp - r.clock.now(at)
	if ahead <= r.clock.maxSkew || r.cfg.quietSkew {
		return
	}
	st := r.origins.at(w.origin)
	if st.skewReported == 0 || at.mono-st.skewReported > int64(time.Minute) {
		st.skewReported = max(at.mono, 1)
		r.report(&SkewError{Node: r.origins.name(w.origin), Offset: time.Duration(ahead)})
	}
}

// successor returns what an update makes of a key, nil if it changes nothing. It changes nothing itself.
func (r *replica[T]) successor(at instant, cur *entry[T], u *update[T]) (*entry[T], error) {
	if r.outdated(u) {
		return nil, errOutdated
	}
	if r.cfg.merge != nil {
		return r.joinUpdate(at, cur, u)
	}
	if cur != nil && !r.origins.older(&cur.Val.write, &u.write) {
		return nil, nil //nolint:nilnil // nothing to do, and nothing wrong
	}
	return r.newEntry(at, cur, u), nil
}

// newEntry is the entry of a write that replaces all that its key held.
func (r *replica[T]) newEntry(at instant, cur *entry[T], u *update[T]) *entry[T] {
	e := &entry[T]{Val: item[T]{write: u.write, value: u.value}}
	if cur != nil {
		e.Key = cur.Key
	} else {
		e.Key = string(u.key)
	}
	w := &e.Val.write
	if u.deadline != 0 && !w.dead() && u.deadline <= r.clock.now(at) {
		w.flags |= flagExpired
	}
	x := ext[T]{batch: u.batch, deadline: u.deadline}
	if r.group != nil {
		x.commit = r.group.commit
	}
	if w.dead() {
		var none T
		e.Val.value = none
	} else {
		if w.flags&flagOwned != 0 {
			x.owner = r.ownerOf(at, w.origin)
		}
		if c := &r.cfg.codec; c.keepsEncoded || c.rechecks && w.origin != self && u.encoded != nil {
			x.encoded = bytes.Clone(u.encoded)
		}
	}
	if inheritable(u) {
		x.replaced = append([]dot(nil), u.replaced...)
	}
	e.Val.ext = r.intern(&x)
	return e
}

// intern returns x where it can be told from nothing, sharing it with the entry before where both belong
// to one batch and nothing else is in it.
func (r *replica[T]) intern(x *ext[T]) *ext[T] {
	plain := x.deadline == 0 && x.owner == nil && x.encoded == nil && x.replaced == nil && x.join == nil
	if plain && x.commit == nil && x.batch.n == 0 {
		return nil
	}
	if last := r.lastExt; plain && last != nil && last.commit == x.commit && last.batch == x.batch {
		return last
	}
	c := *x
	if plain {
		r.lastExt = &c
	}
	return &c
}

// inheritable reports whether an entry must remember what it replaced: dots of other origins, which a
// reader of this entry alone could not infer. They are named again by whatever replaces the entry.
func inheritable[T any](u *update[T]) bool {
	for _, d := range u.replaced {
		if d.origin != u.origin {
			return true
		}
	}
	return false
}

// maxReplaced bounds how many dots an update names. A key overwritten by more pods in turn than this
// forgets the oldest, which only matters if every pod that saw them is gone.
const maxReplaced = 8

// replacedBy lists the dots that a local write over cur replaces: those of its live and dead parts, and
// those that they replaced in turn, so that a pod that only ever hears of this write knows of all of them.
// The result is valid until the next call.
func (r *replica[T]) replacedBy(cur *entry[T]) []dot {
	dots := r.scratch.replaced[:0]
	if cur != nil {
		dots = append(dots, cur.Val.dot())
		if x := cur.Val.ext; x != nil {
			for _, d := range x.replaced {
				if len(dots) < maxReplaced && d.origin != cur.Val.origin {
					dots = append(dots, d)
				}
			}
		}
	}
	r.scratch.replaced = dots
	return dots
}

// localWrite is what a caller of the Store asks for.
type localWrite[T any] struct {
	key      string
	value    T
	encoded  []byte
	flags    flags // flagDeleted, flagSeed, flagOwned
	deadline int64
	batch    batchRange
	again    bool // value is all that this store's part holds, and is not joined with it
}

// write applies a local write and queues it for sending. An error means that nothing changed.
func (r *replica[T]) write(at instant, l *localWrite[T]) error {
	cur := r.lookup(unsafeBytes(l.key))
	u := update[T]{
		write:    write{origin: self, seq: r.origins.at(self).seen.head + 1, flags: l.flags},
		key:      unsafeBytes(l.key),
		value:    l.value,
		encoded:  l.encoded,
		deadline: l.deadline,
		batch:    l.batch,
	}
	stamp, err := r.clock.stamp(at, r.predecessor(cur, l.flags))
	if err != nil {
		return err
	}
	u.stamp = stamp

	var next *entry[T]
	if r.cfg.merge != nil {
		next, err = r.joinLocal(at, cur, &u, l.again)
		if err != nil {
			return err
		}
	} else {
		u.replaced = r.replacedBy(cur)
		next = r.newEntry(at, cur, &u)
	}
	if cur == nil {
		next.Key = l.key
	}
	r.origins.cover(self, u.seq, u.seq)
	r.put(cur, next)
	if l.flags&flagSeed == 0 {
		r.send(&u)
	}
	r.count.local++
	r.collectOnWrite(at)
	return nil
}

// predecessor is the stamp that a local write of the key must follow: of all it replaces, as far as they
// are of its class, or the floor where the key may have been forgotten.
func (r *replica[T]) predecessor(cur *entry[T], f flags) int64 {
	switch {
	case cur == nil:
		if f&flagSeed != 0 || !r.on(ruleStampAfterFloor) {
			return 0
		}
		return r.floor
	case (cur.Val.flags^f)&flagSeed != 0 || !r.on(ruleStampAfterReplaced):
		return 0
	case r.cfg.merge != nil:
		return max(cur.Val.stamp, r.floor) // a part of it may have been forgotten
	default:
		return cur.Val.stamp
	}
}

// send adds a local write to what the next frame carries.
func (r *replica[T]) send(u *update[T]) {
	rec := wire.Record{
		Flags:      u.flags & flagsSent,
		Key:        u.key,
		Seq:        u.seq,
		Stamp:      u.stamp,
		Deadline:   u.deadline,
		Value:      u.encoded,
		BatchFirst: u.batch.first,
		BatchLen:   u.batch.n,
	}
	rec.Replaced = r.wireDots(r.sent, u.replaced)
	r.sent.Add(&rec)
}

// fitsFrame reports whether the frame being filled has room for a write of about n bytes. An empty one always has.
func (r *replica[T]) fitsFrame(n int) bool {
	have := r.sent.Len()
	return r.sent.Count() == 0 || have < frameTarget && have+n+frameOverhead <= r.cfg.limits.FrameBytes
}

// wireDots translates dots into those of a frame. The result is valid until the next call.
func (r *replica[T]) wireDots(to *wire.Records, dots []dot) []wire.Dot {
	ds := r.scratch.dots[:0]
	for _, d := range dots {
		var index uint32
		if d.origin != self {
			st := r.origins.at(d.origin)
			index = to.Index(st.nodeBytes(), st.id.Boot)
		}
		ds = append(ds, wire.Dot{Origin: index, Seq: d.seq})
	}
	r.scratch.dots = ds
	return ds
}
