package podshare

import (
	"errors"
	"slices"

	"github.com/podshare/podshare/internal/cells"
	"github.com/podshare/podshare/internal/wire"
)

// snapshotWriter encodes the state of one moment. It works on copies and on a view, so that nobody waits
// for it.
type snapshotWriter[T any] struct {
	replica *replica[T] // only what never changes of it
	header  wire.Header
	origins []originState      // id and node of each
	vector  []wire.VectorEntry // by origin; of a forgotten one it is empty
	floor   int64
	view    *cells.View[item[T]]

	records wire.Records
	dots    []wire.Dot // scratch
	errs    []error    // why writes were left out
}

// captureSnapshot fixes the moment of a snapshot. It must be encoded.
func (r *replica[T]) captureSnapshot(at instant) *snapshotWriter[T] {
	w := &snapshotWriter[T]{
		replica: r,
		header:  r.header(at),
		origins: make([]originState, len(r.origins.list)),
		vector:  r.currentVector(),
		floor:   r.floor,
		view:    r.index.View(),
	}
	for i, st := range r.origins.list {
		w.origins[i] = originState{id: st.id, node: st.node}
	}
	w.records.Reset(w.header.Node, w.header.Boot)
	return w
}

// encode returns the snapshot. It needs no lock.
func (w *snapshotWriter[T]) encode(refused []*update[T]) []byte {
	defer w.view.Close()
	for e := w.view.Next(); e != nil; e = w.view.Next() {
		for p := range w.replica.parts(e) {
			var encoded []byte
			if !p.dead() {
				var err error
				if encoded, err = w.replica.encodedPart(&p); err != nil {
					w.errs = append(w.errs, &KeyError{Key: e.Key, Err: err})
					w.uncover(p.origin, p.run())
					continue
				}
			}
			w.add(unsafeBytes(e.Key), p.write, p.deadline, p.batch, p.replaced, encoded)
		}
	}
	for _, u := range refused {
		encoded := u.encoded
		if errors.Is(u.err, errWithheld) {
			continue // there is nothing to carry over
		}
		if encoded == nil && !u.dead() { // nothing is lost by encoding it anew
			var err error
			if encoded, err = w.replica.cfg.codec.encode(u.value); err != nil {
				w.errs = append(w.errs, &KeyError{Key: string(u.key), Err: err})
				continue
			}
		}
		w.add(u.key, &u.write, u.deadline, u.batch, u.replaced, encoded)
		w.cover(u.dot())
	}
	m := wire.Snapshot{Floor: w.floor, Vector: slices.DeleteFunc(w.vector, unseen)}
	return wire.AppendSnapshot(nil, &w.header, &m, &w.records, true)
}

// unseen reports whether a vector entry says nothing.
func unseen(v wire.VectorEntry) bool { return v.Head == 0 && len(v.Spans) == 0 && v.Mark == 0 }

func (w *snapshotWriter[T]) index(o origin) uint32 {
	if o == self {
		return 0
	}
	return w.records.Index(w.origins[o].nodeBytes(), w.origins[o].id.Boot)
}

func (w *snapshotWriter[T]) add(key []byte, p *write, deadline int64, batch batchRange, replaced []dot, encoded []byte) {
	w.dots = w.dots[:0]
	for _, d := range replaced {
		w.dots = append(w.dots, wire.Dot{Origin: w.index(d.origin), Seq: d.seq})
	}
	w.records.Add(&wire.Record{
		Flags: p.flags & flagsSent, Origin: w.index(p.origin), Key: key, Seq: p.seq, Stamp: p.stamp,
		Deadline: deadline, Value: encoded, BatchFirst: batch.first, BatchLen: batch.n, Replaced: w.dots,
	})
}

// cover adds a dot to the vector, uncover takes dots out: what is not in the snapshot must not look dead in
// it, and what is must not look unseen.
func (w *snapshotWriter[T]) cover(d dot) {
	v := &w.vector[d.origin]
	seen := seqSet{head: v.Head, spans: v.Spans}
	seen.add(d.seq, d.seq)
	v.Head, v.Spans = seen.head, seen.spans
}

func (w *snapshotWriter[T]) uncover(o origin, run span) {
	v := &w.vector[o]
	var holes, seen seqSet
	holes.add(run.First, run.Last)
	seen.join(&seqSet{head: v.Head, spans: v.Spans}, &holes)
	v.Head, v.Spans = seen.head, seen.spans
}
