package podshare

import (
	"fmt"

	"github.com/podshare/podshare/internal/wire"
)

// writeBatch applies local writes of different keys in one step. An error means that nothing changed.
func (r *replica[T]) writeBatch(at instant, writes []localWrite[T]) error {
	if len(writes) == 1 {
		return r.write(at, &writes[0])
	}
	if err := r.checkStamps(at, writes); err != nil {
		return err
	}
	dots := batchRange{first: r.origins.at(self).seen.head + 1, n: uint64(len(writes))}
	if r.cfg.merge != nil {
		size, err := r.tryJoins(at, writes)
		if err != nil {
			return err
		}
		if limit := r.cfg.limits.FrameBytes; size > limit {
			return fmt.Errorf("%w: joined batch of about %d bytes, limit of a frame %d", ErrTooLarge, size, limit)
		}
	}
	var err error
	r.atomically(len(writes), func() {
		for i := range writes {
			writes[i].batch = dots
			if err == nil {
				err = r.write(at, &writes[i])
			}
		}
	})
	r.collectOnWrite(at)
	return err
}

// replacedBytes bounds what naming the replaced writes adds to a frame of a batch. With a Merger tryJoins knows more.
func (r *replica[T]) replacedBytes(writes []localWrite[T]) int {
	n := 0
	for i := range writes {
		for _, d := range r.replacedBy(r.lookup(unsafeBytes(writes[i].key))) {
			n += dotBytes
			if d.origin != self {
				n += len(r.origins.at(d.origin).node) // it is in the table of origins once, if not more
			}
		}
	}
	return n
}

// checkStamps reports whether every write of a batch can be stamped, so that it does not fail half-way.
func (r *replica[T]) checkStamps(at instant, writes []localWrite[T]) error {
	newest := max(r.clock.now(at), r.clock.last)
	for i := range writes {
		newest = max(newest, r.predecessor(r.lookup(unsafeBytes(writes[i].key)), writes[i].flags))
	}
	if newest+int64(len(writes)) > wire.MaxStamp {
		return &StampError{}
	}
	return nil
}

// tryJoins calls the Merger for every write of a batch and drops the results: one that fails does so before anything is
// applied. It returns about how many bytes the batch takes in a frame.
func (r *replica[T]) tryJoins(at instant, writes []localWrite[T]) (size int, err error) {
	size = frameOverhead
	for i := range writes {
		l := &writes[i]
		u := update[T]{
			write:   write{origin: self, seq: r.origins.at(self).seen.head + 1, stamp: wire.MaxStamp, flags: l.flags},
			key:     unsafeBytes(l.key),
			value:   l.value,
			encoded: l.encoded,
		}
		if _, err := r.joinLocal(at, r.lookup(u.key), &u, false); err != nil {
			return 0, &KeyError{Key: l.key, Err: err}
		}
		size += recordBytes(len(u.key), len(u.encoded))
		for _, d := range u.replaced {
			size += dotBytes + len(r.origins.at(d.origin).node)
		}
	}
	return size, nil
}

// seed applies writes that are ordered below all others, without events and without sending them. Keys
// that hold anything, a tombstone too, are left alone.
func (r *replica[T]) seed(at instant, writes []localWrite[T]) error {
	if err := r.checkStamps(at, writes); err != nil {
		return err
	}
	if r.cfg.merge != nil {
		if _, err := r.tryJoins(at, writes); err != nil { // seeds are not sent, so no frame bounds them
			return err
		}
	}
	r.quietly(func() {
		r.atomically(len(writes), func() {
			for i := range writes {
				if r.lookup(unsafeBytes(writes[i].key)) == nil {
					_ = r.write(at, &writes[i]) // cannot fail: stamps and joins are checked
				}
			}
		})
	})
	r.hurryBeat(at, 0)
	return nil
}
