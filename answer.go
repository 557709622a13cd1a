package podshare

import (
	"cmp"
	"slices"

	"github.com/podshare/podshare/internal/cells"
	"github.com/podshare/podshare/internal/wire"
)

// answer is a series of chunks on its way to a peer. Vector, marks and floor are captured before the first
// entry is read, and the entries are those of that moment: a write that comes later would be claimed by
// the vector without being in the answer, or tear a batch.
type answer[T any] struct {
	to       *peer
	series   uint64
	lacks    map[origin][]span // what the asker has not seen of ours
	vector   []wire.VectorEntry
	floor    int64
	full     bool
	maxFrame int          // the largest frame that the asker takes
	records  wire.Records // of the chunk being filled

	view  *cells.View[item[T]] // the moment, when everything must be looked at
	found []*entry[T]          // its entries, when the recent ones suffice
	ended bool                 // no entry is left

	heldDots map[origin][]heldDot // with full: what was read so far
	withheld map[origin]*seqSet

	window  [][]byte // chunks that are not acknowledged
	acked   uint64   // number of the first of them
	last    bool     // the last chunk is in window
	touched int64    // monotonic ns at which the asker last spoke
}

type heldDot struct {
	seq  uint64
	dead bool
}

// scanBudget bounds how many entries are looked at in one go, so that a scan for little does not hold up
// writers.
const scanBudget = 4096

// takeWant begins to answer a peer, or repeats what it seems to have missed.
func (r *replica[T]) takeWant(at instant, p *peer, m *wire.Want) {
	if a := r.repair.answers[p.origin]; a != nil && a.series == m.Series {
		a.touched = at.mono
		if a.acked == 0 {
			r.resend(a)
		}
		return
	}
	if m.Series < p.wanted || m.Series == p.wanted && p.sentMany {
		return // late, or repeated: chunks of two answers to one want must not mix
	}
	p.wanted, p.sentMany = m.Series, false
	r.endAnswer(p.origin)
	if len(r.repair.answers) >= maxAnswers {
		return // it will ask another
	}
	theirs := make(map[origin]*seqSet, len(m.Vector))
	rest := r.origins.vectorHash()
	for i := range m.Vector {
		v := &m.Vector[i]
		if o, ok := r.origins.byID[v.ID]; ok {
			theirs[o] = &seqSet{head: v.Head, spans: v.Spans}
			rest -= r.origins.at(o).sum
		}
	}
	if !m.All && rest != m.Rest && r.on(ruleRestHash) {
		h := r.header(at)
		l := wire.List{To: r.origins.at(p.origin).id, Series: m.Series}
		r.out.frames = append(r.out.frames, outFrame{to: r.origins.at(p.origin).node, bytes: l.Append(nil, &h)})
		return
	}
	a := &answer[T]{
		to: p, series: m.Series, full: m.Full, maxFrame: askerFrame(m, &r.cfg.limits), floor: r.floor, touched: at.mono,
		lacks: map[origin][]span{}, withheld: map[origin]*seqSet{},
	}
	a.records.Reset(r.origins.at(self).nodeBytes(), r.origins.at(self).id.Boot)
	r.captureVector(a, theirs, m)
	r.captureEntries(a)
	if r.repair.answers == nil {
		r.repair.answers = map[origin]*answer[T]{}
	}
	r.repair.answers[p.origin] = a
	r.count.answers++
	r.pump(at, a)
}

// askerFrame is the largest frame to send to an asker: its limit, or ours.
func askerFrame(m *wire.Want, l *Limits) int {
	if m.MaxFrame == 0 || m.MaxFrame > uint64(l.FrameBytes) {
		return l.FrameBytes
	}
	return int(m.MaxFrame)
}

// captureVector finds what the asker lacks, and whether it missed a delete that is collected here.
func (r *replica[T]) captureVector(a *answer[T], theirs map[origin]*seqSet, m *wire.Want) {
	for i, st := range r.origins.list {
		o := origin(i)
		seen, listed := theirs[o]
		if !listed {
			if !m.All {
				continue // hashed as the same
			}
			seen = &seqSet{}
		}
		if seen.head < st.mark && !m.Empty && r.on(ruleMarks) {
			a.full = true
		}
		for _, run := range st.seen.runs() {
			a.lacks[o] = append(a.lacks[o], seen.missing(run)...)
		}
	}
	for i, st := range r.origins.list {
		if seen, listed := theirs[origin(i)]; !a.full && (!listed && !m.All || listed && seen.equal(&st.seen)) {
			continue
		}
		if st.seen.head == 0 && st.seen.spans == nil {
			continue
		}
		c := st.seen.clone()
		a.vector = append(a.vector, wire.VectorEntry{ID: st.id, Head: c.head, Mark: st.mark, Spans: c.spans})
	}
}

// captureEntries fixes the moment that the answer shows.
func (r *replica[T]) captureEntries(a *answer[T]) {
	recent := !a.full
	for o, runs := range a.lacks {
		recent = recent && r.recent.since(o, runs)
	}
	if !recent {
		a.view = r.index.View()
		a.heldDots = map[origin][]heldDot{}
		return
	}
	found := map[string]bool{}
	for i := range r.recent.ring {
		w := &r.recent.ring[i]
		if len(a.lacks[w.dot.origin]) == 0 || found[w.key] {
			continue
		}
		if e := r.index.Get(w.key); e != nil && r.lacking(a, e) {
			found[w.key] = true
			a.found = append(a.found, e)
		}
	}
}

// lacking reports whether e holds a dot that the asker has not seen.
func (r *replica[T]) lacking(a *answer[T], e *entry[T]) bool {
	for p := range r.parts(e) {
		if inSpans(a.lacks[p.origin], p.seq) {
			return true
		}
	}
	return false
}

// inSpans reports whether ascending, disjoint spans contain seq.
func inSpans(spans []span, seq uint64) bool {
	_, ok := slices.BinarySearchFunc(spans, seq, func(s span, seq uint64) int {
		switch {
		case s.Last < seq:
			return -1
		case s.First > seq:
			return 1
		}
		return 0
	})
	return ok
}

// next returns the next entry of the answer's moment, nil after the last.
func (a *answer[T]) next() *entry[T] {
	if a.view != nil {
		return a.view.Next()
	}
	if len(a.found) == 0 {
		return nil
	}
	e := a.found[0]
	a.found = a.found[1:]
	return e
}

// pump sends chunks while the window has room and the scan its budget.
func (r *replica[T]) pump(at instant, a *answer[T]) {
	for budget := scanBudget; budget > 0 && !a.last && len(a.window) < repairWindow; budget-- {
		e := a.next()
		if e != nil {
			r.addParts(at, a, e)
		} else {
			a.ended = true
		}
		if a.ended || a.records.Len() >= chunkBytes {
			r.sendChunk(at, a)
		}
	}
	if !a.last && a.records.Count() > 0 && len(a.window) < repairWindow {
		r.sendChunk(at, a) // the budget is used up: what was found is not kept back for the rest of the scan
	}
}

// addParts adds those writes of an entry that the asker lacks.
func (r *replica[T]) addParts(at instant, a *answer[T], e *entry[T]) {
	for p := range r.parts(e) {
		if a.full && p.flags&flagDeleted == 0 {
			a.heldDots[p.origin] = append(a.heldDots[p.origin], heldDot{p.seq, p.dead()})
		}
		if inSpans(a.lacks[p.origin], p.seq) {
			r.addRecord(at, a, e.Key, &p)
		}
	}
}

func (r *replica[T]) addRecord(at instant, a *answer[T], key string, p *partView[T]) {
	var encoded []byte
	if !p.dead() {
		var err error
		if encoded, err = r.encodedPart(p); err != nil {
			r.report(&KeyError{Key: key, Err: err})
			hole(a.withheld, p.origin, p.run())
			return
		}
	}
	switch size := recordBytes(len(key), len(encoded)) + frameOverhead; {
	case size > a.maxFrame:
		hole(a.withheld, p.origin, p.run())
		return
	case a.records.Count() > 0 && a.records.Len()+size > a.maxFrame:
		r.sendChunk(at, a)
	}
	recs := &a.records
	st := r.origins.at(p.origin)
	var index uint32
	if p.origin != self {
		index = recs.Index(st.nodeBytes(), st.id.Boot)
	}
	recs.Add(&wire.Record{
		Flags: p.flags & flagsSent, Origin: index, Key: unsafeBytes(key), Seq: p.seq, Stamp: p.stamp,
		Deadline: p.deadline, Value: encoded, BatchFirst: p.batch.first, BatchLen: p.batch.n,
		Replaced: r.wireDots(recs, p.replaced),
	})
}

// run is the dots that stand or fall with this one: its batch, or itself.
func (p *partView[T]) run() span {
	if p.batch.n > 1 {
		return span{First: p.batch.first, Last: p.batch.first + p.batch.n - 1}
	}
	return span{First: p.seq, Last: p.seq}
}

// sendChunk sends what was gathered. The last chunk carries vector, floor and, if full, what is held.
func (r *replica[T]) sendChunk(at instant, a *answer[T]) {
	st := r.origins.at(a.to.origin)
	m := wire.Have{To: st.id, Series: a.series, Index: a.acked + uint64(len(a.window)), Full: a.full}
	if a.ended && a.records.Len() < 2*chunkBytes { // else a chunk of its own follows
		a.last, m.Last = true, true
		m.Vector, m.Floor = a.vector, a.floor
		if !r.on(ruleCaptureVector) {
			m.Vector = r.currentVector()
		}
		m.Held = r.heldEntries(a)
		m.Withheld = r.withheldEntries(a)
		a.close()
	}
	h := r.header(at)
	frame := wire.AppendHave(nil, &h, &m, &a.records, true)
	r.count.repairSent += uint64(a.records.Count())
	a.records.Reset(h.Node, h.Boot)
	a.window = append(a.window, frame)
	r.out.frames = append(r.out.frames, outFrame{to: st.node, bytes: frame})
	if !a.last {
		a.to.sentMany = true
	} else if m.Index == 0 {
		r.endAnswer(a.to.origin) // if it is lost the want comes again, and is answered anew
	}
}

// close lets go of what is needed to read on.
func (a *answer[T]) close() {
	if a.view != nil {
		a.view.Close()
	}
	a.view, a.heldDots, a.found = nil, nil, nil
}

func (r *replica[T]) currentVector() []wire.VectorEntry {
	v := make([]wire.VectorEntry, 0, len(r.origins.list))
	for _, st := range r.origins.list {
		c := st.seen.clone()
		v = append(v, wire.VectorEntry{ID: st.id, Head: c.head, Mark: st.mark, Spans: c.spans})
	}
	return v
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
	sortHeld(held)
	return held
}

func (r *replica[T]) withheldEntries(a *answer[T]) []wire.HeldEntry {
	held := make([]wire.HeldEntry, 0, len(a.withheld))
	for o, dots := range a.withheld {
		held = append(held, wire.HeldEntry{ID: r.origins.at(o).id, Live: dots.runs()})
	}
	sortHeld(held)
	return held
}

func sortHeld(held []wire.HeldEntry) {
	slices.SortFunc(held, func(a, b wire.HeldEntry) int {
		return cmp.Or(cmp.Compare(a.ID.Boot, b.ID.Boot), cmp.Compare(a.ID.Node, b.ID.Node))
	})
}

// takeMore hears how far the asker is: what it has is dropped and more is sent; an asker that stands still
// has missed something.
func (r *replica[T]) takeMore(at instant, p *peer, m *wire.More) {
	a := r.repair.answers[p.origin]
	if a == nil || a.series != m.Series || m.Next < a.acked || m.Next > a.acked+uint64(len(a.window)) {
		return
	}
	a.touched = at.mono
	if m.Next == a.acked {
		r.resend(a)
		return
	}
	n := int(m.Next - a.acked)
	a.window, a.acked = slices.Delete(a.window, 0, n), m.Next
	if a.last && len(a.window) == 0 {
		r.endAnswer(p.origin)
		return
	}
	r.pump(at, a)
}

// resend repeats the chunks that were not acknowledged.
func (r *replica[T]) resend(a *answer[T]) {
	for _, frame := range a.window {
		r.out.frames = append(r.out.frames, outFrame{to: r.origins.at(a.to.origin).node, bytes: frame})
	}
}

func (r *replica[T]) endAnswer(o origin) {
	if a := r.repair.answers[o]; a != nil {
		a.close()
	}
	delete(r.repair.answers, o)
}

// closeAnswers ends all answers.
func (r *replica[T]) closeAnswers() {
	for o := range r.repair.answers {
		r.endAnswer(o)
	}
}
