package podshare

import (
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
	tail  *tail                // once ended

	heldDots map[origin][]heldDot // with full: what was read so far

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
	if a := r.repair.answers[p.origin]; a != nil && a.series == m.Series && r.on(ruleOneAnswer) {
		a.touched = at.mono
		if a.acked == 0 {
			r.resend(a)
		}
		return
	}
	if (m.Series < p.wanted || m.Series == p.wanted && p.sentMany) && r.on(ruleOneAnswer) {
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
		lacks: map[origin][]span{},
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
		if st.seen.head == 0 && len(st.seen.above()) == 0 {
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
	found := map[uint64]bool{} // by hash of the key
	for i := range r.recent.ring {
		w := &r.recent.ring[i]
		if len(a.lacks[w.dot.origin]) == 0 || found[w.hash] {
			continue
		}
		for e := range r.index.WithHash(w.hash) {
			if r.lacking(a, e) {
				found[w.hash] = true
				a.found = append(a.found, e)
			}
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

// scanning reports whether there is room for more chunks: the scan has used up its budget, and goes on at the next tick.
func (a *answer[T]) scanning() bool { return !a.last && len(a.window) < repairWindow }

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
		if a.full && !p.deleted() {
			a.heldDots[p.origin] = append(a.heldDots[p.origin], heldDot{p.seq, p.dead()})
		}
		if inSpans(a.lacks[p.origin], p.seq) {
			r.addRecord(at, a, e.Key, &p)
		}
	}
}

// A value that would make a frame larger than the asker takes is withheld: the asker refuses the write like one that
// it cannot read, and keeps what the key has.
func (r *replica[T]) addRecord(at instant, a *answer[T], key string, p *partView[T]) {
	rec := wire.Record{
		Flags: p.flags & flagsSent, Key: unsafeBytes(key), Seq: p.seq, Stamp: p.stamp,
		Deadline: p.deadline, BatchFirst: p.batch.first, BatchLen: p.batch.n,
	}
	if !p.dead() {
		var err error
		if rec.Value, err = r.encodedPart(p); err != nil {
			r.report(&KeyError{Key: key, Err: err})
			rec.Withheld = true
		}
	}
	replaced := p.replaced
	size := r.partBytes(p, key, rec.Value)
	if size > a.maxFrame && !p.dead() {
		rec.Value, rec.Withheld = nil, true
		size = r.partBytes(p, key, nil)
	}
	if size > a.maxFrame {
		replaced = nil
	}
	if a.records.Count() > 0 && a.records.Len()+size > a.maxFrame {
		r.sendChunk(at, a)
	}
	if p.origin != self {
		st := r.origins.at(p.origin)
		rec.Origin = a.records.Index(st.nodeBytes(), st.id.Boot)
	}
	rec.Replaced = r.wireDots(&a.records, replaced)
	a.records.Add(&rec)
}

// partBytes bounds the frame that carries one part alone.
func (r *replica[T]) partBytes(p *partView[T], key string, encoded []byte) int {
	n := recordBytes(len(key), len(encoded)) + len(r.origins.at(p.origin).node) + frameOverhead
	for _, d := range p.replaced {
		n += dotBytes + len(r.origins.at(d.origin).node)
	}
	return n
}

// sendChunk sends what was gathered. When no entry is left the tail follows: in this chunk as far as it fits.
func (r *replica[T]) sendChunk(at instant, a *answer[T]) {
	st := r.origins.at(a.to.origin)
	m := wire.Have{To: st.id, Series: a.series, Index: a.acked + uint64(len(a.window)), Full: a.full}
	if a.ended {
		if a.tail == nil {
			a.tail = r.tailOf(a)
			a.close()
		}
		room := min(a.maxFrame, 2*chunkBytes) - frameOverhead - a.records.Len()
		if a.records.Count() == 0 {
			room = max(room, minTail)
		}
		if a.tail.fill(&m, room); a.tail.empty() {
			a.last, m.Last, m.Floor = true, true, a.floor
		}
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
