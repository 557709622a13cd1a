package podshare

import (
	"cmp"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// tail is what follows the records of an answer: the vector and, in a full comparison, what is held. It takes as many
// chunks as the asker's frames require, for an origin of which much is missing has many spans.
type tail struct {
	vector []wire.VectorEntry
	held   []wire.HeldEntry
}

// What a vector or held entry without spans, a span, and a replaced write take in a frame at most.
const (
	entryBytes = 48
	spanBytes  = 18
	dotBytes   = 30 // with its place in the table of origins, but for the name
)

// minTail is the room in which an entry makes progress whatever else is in the frame.
const minTail = entryBytes + 8*spanBytes

func (r *replica[T]) tailOf(a *answer[T]) *tail {
	t := &tail{vector: a.vector, held: r.heldEntries(a)}
	if !r.on(ruleCaptureVector) {
		t.vector = r.currentVector()
	}
	return t
}

func (t *tail) empty() bool { return len(t.vector) == 0 && len(t.held) == 0 }

// fill moves to a chunk what fits into room bytes. An entry that does not is continued in the next one.
func (t *tail) fill(m *wire.Have, room int) {
	for len(t.vector) > 0 && room >= minTail {
		e := &t.vector[0]
		part := wire.VectorEntry{ID: e.ID, Head: e.Head, Mark: e.Mark, Spans: takeSpans(&e.Spans, &room)}
		m.Vector = append(m.Vector, part)
		if e.Head = 0; len(e.Spans) == 0 {
			t.vector = t.vector[1:]
		}
	}
	for len(t.held) > 0 && room >= minTail {
		e := &t.held[0]
		part := wire.HeldEntry{ID: e.ID, Live: takeSpans(&e.Live, &room)}
		if len(e.Live) == 0 {
			room += entryBytes // counted twice
			part.Dead = takeSpans(&e.Dead, &room)
		}
		m.Held = append(m.Held, part)
		if len(e.Live) == 0 && len(e.Dead) == 0 {
			t.held = t.held[1:]
		}
	}
}

// takeSpans moves spans of one entry, as many as the room allows.
func takeSpans(spans *[]span, room *int) []span {
	*room -= entryBytes
	n := min(len(*spans), max(*room/spanBytes, 0))
	taken := (*spans)[:n:n]
	*spans = (*spans)[n:]
	*room -= n * spanBytes
	return taken
}

// fitVector leaves out of the vector of a want what does not fit into room bytes: the origins of which least is held,
// and spans. What a want does not say to have seen is sent again and dropped as known: it costs, and does no harm.
func (r *replica[T]) fitVector(vector []wire.VectorEntry, room int) []wire.VectorEntry {
	if limit := max(room/entryBytes, 1); len(vector) > limit {
		held := func(e *wire.VectorEntry) int { return r.origins.at(r.origins.byID[e.ID]).held }
		slices.SortStableFunc(vector, func(a, b wire.VectorEntry) int { return cmp.Compare(held(&b), held(&a)) })
		vector = vector[:limit]
	}
	room -= len(vector) * entryBytes
	for i := range vector {
		room += entryBytes
		vector[i].Spans = takeSpans(&vector[i].Spans, &room)
	}
	return vector
}

// heldEntries lists the dots that were read, as runs.
func (r *replica[T]) heldEntries(a *answer[T]) []wire.HeldEntry {
	held := make([]wire.HeldEntry, 0, len(a.heldDots))
	for o, dots := range a.heldDots {
		slices.SortFunc(dots, func(a, b heldDot) int { return cmp.Compare(a.seq, b.seq) })
		var live, dead seqSet
		for _, d := range dots {
			if d.dead {
				dead.add(d.seq, d.seq)
			} else {
				live.add(d.seq, d.seq)
			}
		}
		held = append(held, wire.HeldEntry{ID: r.origins.at(o).id, Live: live.runs(), Dead: dead.runs()})
	}
	slices.SortFunc(held, func(a, b wire.HeldEntry) int {
		return cmp.Or(cmp.Compare(a.ID.Boot, b.ID.Boot), cmp.Compare(a.ID.Node, b.ID.Node))
	})
	return held
}
