package podshare

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// Repair: a pod that finds itself behind sends its vector to one peer and gets exactly the writes that it
// lacks, then the peer's vector as it was before the first of them was read. Nobody calls it: a hole below
// an announced head, or a heartbeat whose hashes differ, starts it.

const (
	repairRetry   = 300 * time.Millisecond // silence after which a want or a chunk is asked for again
	repairRetries = 3                      // silences after which another peer is asked
	repairWindow  = 8                      // chunks under way
	chunkBytes    = 128 << 10
	maxAnswers    = 16 // series being answered at a time
	answerIdle    = 5 * time.Second
	maxBackOff    = 5 * time.Minute
)

// repair is where a replica stands in its exchanges with others.
type repair[T any] struct {
	due    int64  // monotonic ns at which to ask; never if nothing is wanted
	from   origin // whom, if it is still there then
	full   bool   // compare everything held, not only what one lacks
	avoid  origin // who did not answer last time; self: nobody
	series uint64 // of the last ask

	ask       *ask[T]
	completed uint64 // asks that were answered
	answers   map[origin]*answer[T]
}

const never = int64(math.MaxInt64)

// ask is one want and what has been answered to it. Nothing of it is applied before all is there.
type ask[T any] struct {
	to      *peer
	series  uint64
	full    bool
	all     bool // the want lists every origin
	joining bool // nothing was held when it began: chunks are applied as they come
	vector  uint64
	digest  uint64 // both as when it began

	unasked map[origin]*seqSet // refused dots that the want pretended to have

	next    uint64 // the chunk that is awaited
	early   map[uint64]*inbound[T]
	chunks  []chunk[T]
	retries int
	timeout int64
}

// chunk is what is left of a chunk until the answer is complete.
type chunk[T any] struct {
	updates []update[T]
	full    bool
	floor   int64
	vector  []wire.VectorEntry
	held    []wire.HeldEntry
}

// fruitless remembers an exchange that changed nothing. Until one of the four hashes changes or the
// back-off ends it is not repeated: what one of the two refuses would make them talk for ever.
type fruitless struct {
	mine, theirs [2]uint64 // vector and digest
	full         bool
	until        int64 // monotonic ns
	backOff      int64
}

// compare looks at a peer's heartbeat: equal hashes end an exchange, different ones start one.
func (r *replica[T]) compare(at instant, p *peer) {
	vector := r.origins.vectorHash()
	switch {
	case p.vector == vector && p.digest == r.digest:
		r.exchanged(at, p)
		p.fruitless = fruitless{}
	case !r.on(ruleCompareHashes):
	case p.vector == vector:
		if r.on(ruleCompareDigest) {
			r.count.digestMismatches++
			r.want(at, p.origin, true)
		}
	default:
		r.want(at, p.origin, false)
	}
}

// findHole starts a repair if a write of o below its announced head is missing.
func (r *replica[T]) findHole(at instant, o origin, head uint64) {
	st := r.origins.at(o)
	if st.seen.head >= head {
		return
	}
	f := r.refused[o]
	if f == nil || at.mono >= f.retry {
		r.want(at, o, false)
		return
	}
	for _, gap := range st.seen.missing(span{First: f.known + 1, Last: head}) {
		if !f.dots.coversAll(gap.First, gap.Last) {
			r.want(at, o, false)
			return
		}
	}
	f.known = max(f.known, head)
}

// want schedules a repair. A moment passes first, for what is missing may be under way, and so that a
// fleet does not ask in one voice.
func (r *replica[T]) want(at instant, from origin, full bool) {
	if r.futile(at, from, full) {
		return
	}
	if r.repair.ask != nil {
		r.passOver(from)
		return
	}
	delay := 10*time.Millisecond + time.Duration(len(r.peers.list))*2*time.Millisecond
	when := at.mono + int64(delay) + r.rng.Int64N(int64(delay))
	r.repair.full = r.repair.full || full
	if r.repair.due == never {
		r.count.gaps++
	}
	if when < r.repair.due {
		when, r.repair.due = r.repair.due, when
		from, r.repair.from = r.repair.from, from
	}
	if when != never && from != r.repair.from {
		r.passOver(from)
	}
}

// passOver notes that a peer has something that is not here, while another one is asked.
func (r *replica[T]) passOver(o origin) {
	if p := r.origins.at(o).peer; p != nil {
		p.passedOver = true
	}
}

// wantPassedOver asks the peers that were passed over, one after the other, if they still differ.
func (r *replica[T]) wantPassedOver(at instant) {
	for _, p := range r.peers.list {
		if !p.passedOver {
			continue
		}
		p.passedOver = false
		if p.vector != r.origins.vectorHash() || p.digest != r.digest || r.origins.at(p.origin).seen.head < p.head {
			r.want(at, p.origin, false)
		}
	}
}

// futile reports whether the last exchange with a peer changed nothing and would change nothing now. A full comparison
// may, where one that was not full did not.
func (r *replica[T]) futile(at instant, o origin, full bool) bool {
	p := r.origins.at(o).peer
	return p != nil && at.mono < p.fruitless.until && r.on(ruleBackOff) && (p.fruitless.full || !full) &&
		p.fruitless.mine == [2]uint64{r.origins.vectorHash(), r.digest} &&
		p.fruitless.theirs == [2]uint64{p.vector, p.digest}
}

// tickRepair asks when it is time to, asks again when an answer is late, and forgets idle answers.
func (r *replica[T]) tickRepair(at instant) {
	for _, o := range slices.Sorted(maps.Keys(r.repair.answers)) {
		if a := r.repair.answers[o]; at.mono-a.touched > int64(answerIdle) {
			r.endAnswer(o)
		} else {
			r.pump(at, a)
		}
	}
	if a := r.repair.ask; a != nil && at.mono >= a.timeout {
		r.late(at, a)
	}
	if r.repair.ask != nil || at.mono < r.repair.due {
		return
	}
	full, from := r.repair.full, r.repair.from
	r.repair.due, r.repair.full = never, false
	p := r.choose(from)
	if p == nil {
		return
	}
	if p.origin == from && p.vector == r.origins.vectorHash() && p.digest == r.digest && r.origins.at(from).seen.head >= p.head {
		return // what was missing has come meanwhile
	}
	r.startAsk(at, p, full)
}

// choose returns the peer to ask: the preferred one if it is live and answered last time, else a random
// other one.
func (r *replica[T]) choose(preferred origin) *peer {
	if p := r.origins.at(preferred).peer; p != nil && p.live && preferred != r.repair.avoid {
		return p
	}
	var others []*peer
	for _, p := range r.peers.list {
		if p.origin != r.repair.avoid {
			others = append(others, p)
		}
	}
	if len(others) == 0 {
		others = r.peers.list
	}
	if len(others) == 0 {
		return nil
	}
	return others[r.rng.IntN(len(others))]
}

func (r *replica[T]) startAsk(at instant, p *peer, full bool) {
	r.repair.series++
	p.passedOver = false
	r.repair.ask = &ask[T]{
		to: p, series: r.repair.series, full: full,
		joining: r.live == 0 && r.tombs == 0,
		vector:  r.origins.vectorHash(), digest: r.digest,
		early: map[uint64]*inbound[T]{},
	}
	r.count.repairs++
	r.sendWant(at)
}

// sendWant sends the vector: the origins taken for live, and a hash of all others. The peer hashes exactly
// the rest, so what each of the two takes for live does not matter.
func (r *replica[T]) sendWant(at instant) {
	a := r.repair.ask
	a.timeout = at.mono + int64(repairRetry)
	w := wire.Want{
		To: r.origins.at(a.to.origin).id, Series: a.series,
		Full: a.full, All: a.all, Empty: a.joining,
		MaxFrame: uint64(r.cfg.limits.FrameBytes),
	}
	for i, st := range r.origins.list {
		o := origin(i)
		_, refused := r.refused[o]
		if st.forgotten || !a.all && !refused && !r.alive(o) {
			continue
		}
		seen := &st.seen
		if refused {
			seen = r.pretended(at, o)
			a.pretend(o, seen, &st.seen)
		}
		w.Vector = append(w.Vector, wire.VectorEntry{ID: st.id, Head: seen.head, Spans: seen.above()})
	}
	w.Vector = r.fitVector(w.Vector, r.cfg.limits.FrameBytes-frameOverhead)
	w.Rest = r.origins.vectorHash()
	for i := range w.Vector {
		w.Rest -= r.origins.at(r.origins.byID[w.Vector[i].ID]).sum
	}
	h := r.header(at)
	r.out.frames = append(r.out.frames, outFrame{to: r.origins.at(a.to.origin).node, bytes: w.Append(nil, &h)})
}

// pretend notes what a want says to have beyond what was seen.
func (a *ask[T]) pretend(o origin, said, seen *seqSet) {
	if a.unasked == nil {
		a.unasked = map[origin]*seqSet{}
	}
	for _, run := range said.runs() {
		for _, gap := range seen.missing(run) {
			hole(a.unasked, o, gap)
		}
	}
}

// late asks again for what has not come, and gives a peer up after some silences.
func (r *replica[T]) late(at instant, a *ask[T]) {
	if a.retries++; a.retries > repairRetries || !a.to.live {
		r.giveUp(at, a)
		return
	}
	if a.next == 0 {
		r.sendWant(at)
		return
	}
	r.sendMore(at, a)
}

// giveUp ends an ask that is not answered, and lets another peer be asked.
func (r *replica[T]) giveUp(at instant, a *ask[T]) {
	r.repair.ask, r.repair.avoid = nil, a.to.origin
	r.count.repairsFailed++
	if a.joining {
		r.coverHeld()
	}
	r.want(at, a.to.origin, a.full)
}

// coverHeld covers what was applied of an answer that broke off: others may learn it only from here.
func (r *replica[T]) coverHeld() {
	open := map[origin][]uint64{}
	v := r.index.View()
	defer v.Close()
	for e := v.Next(); e != nil; e = v.Next() {
		for p := range r.parts(e) {
			if !r.origins.covers(p.dot()) {
				open[p.origin] = append(open[p.origin], p.seq)
			}
		}
	}
	for o, seqs := range open {
		slices.Sort(seqs)
		for _, seq := range seqs {
			r.origins.cover(o, seq, seq)
		}
	}
}

func (r *replica[T]) sendMore(at instant, a *ask[T]) {
	a.timeout = at.mono + int64(repairRetry)
	st := r.origins.at(a.to.origin)
	m := wire.More{To: st.id, Series: a.series, Next: a.next}
	h := r.header(at)
	r.out.frames = append(r.out.frames, outFrame{to: st.node, bytes: m.Append(nil, &h)})
}

// takeList answers a peer that counts the unlisted origins differently: list them all.
func (r *replica[T]) takeList(at instant, p *peer, m *wire.List) {
	a := r.repair.ask
	if a == nil || a.to != p || a.series != m.Series || a.all || (a.next > 0 || len(a.early) > 0) && r.on(ruleOneAnswer) {
		return
	}
	if r.on(ruleOneAnswer) {
		r.repair.series++
	}
	a.all, a.series = true, r.repair.series // another want: chunks of both must not mix
	r.sendWant(at)
}

// takeHave takes in one chunk of an answer. It reports whether in is kept.
func (r *replica[T]) takeHave(at instant, p *peer, in *inbound[T]) (kept bool) {
	a := r.repair.ask
	if a == nil || a.to != p || a.series != in.have.Series && r.on(ruleSeries) || in.have.Index < a.next {
		return false
	}
	if in.have.Index >= a.next+2*repairWindow {
		return false
	}
	a.early[in.have.Index] = in
	kept = true
	before := a.next
	for {
		c := a.early[a.next]
		if c == nil {
			break
		}
		delete(a.early, a.next)
		a.next++
		if m := &c.have; !m.Last && len(m.Records)+len(m.Vector)+len(m.Held) == 0 {
			r.giveUp(at, a) // it would go on for ever
			return true
		}
		if whole := r.keepChunk(at, a, p.origin, c); c == in {
			kept = whole
		}
		if c.have.Last {
			r.complete(at, a, p)
			return true // its buffers are as large as chunks are: enough
		}
	}
	if a.next == before {
		return kept
	}
	a.retries = 0
	a.timeout = at.mono + int64(repairRetry)
	if before/(repairWindow/2) != a.next/(repairWindow/2) {
		r.sendMore(at, a)
	}
	return kept
}

// keepChunk buffers a chunk, and reports whether that needs c's buffers. A store that held nothing applies it at once, but for
// batches, so that a joining pod needs no second copy of everything.
func (r *replica[T]) keepChunk(at instant, a *ask[T], from origin, c *inbound[T]) (whole bool) {
	r.resolve(from, c, &c.have.RecordList)
	r.count.repairBytes += uint64(c.size)
	m := &c.have
	left := chunk[T]{updates: c.updates, full: m.Full, floor: m.Floor, vector: m.Vector, held: m.Held}
	if !a.joining && r.on(ruleRepairAtOnce) {
		a.chunks = append(a.chunks, left)
		return true
	}
	rest := c.updates[:0]
	for i := range c.updates {
		u := &c.updates[i]
		if u.batch.n <= 1 && u.err == nil {
			r.take(at, u, nil)
			if unasked := a.unasked[u.origin]; u.err == nil && unasked != nil && unasked.covers(u.seq) {
				r.origins.cover(u.origin, u.seq, u.seq) // it came all the same; the join leaves it out
			}
		}
		if u.batch.n > 1 || u.err != nil { // a Merger that fails finds out only now
			rest = append(rest, *u)
		}
	}
	left.updates = slices.Clone(rest)
	clear(c.updates)
	c.updates = c.updates[:0]
	a.chunks = append(a.chunks, left)
	return len(rest)+len(m.Vector)+len(m.Held) > 0
}

// complete applies an answer of which all chunks are there.
func (r *replica[T]) complete(at instant, a *ask[T], p *peer) {
	r.repair.ask, r.repair.avoid = nil, self
	if len(a.chunks) > 1 {
		r.sendMore(at, a) // the peer may forget the answer
	}
	s := adoption[T]{unasked: a.unasked}
	for _, c := range a.chunks {
		s.updates = append(s.updates, c.updates...)
		s.full = s.full || c.full
		s.floor = max(s.floor, c.floor)
		for i := range c.vector {
			s.addVector(&r.origins, &c.vector[i])
		}
		for i := range c.held {
			s.addHeld(&r.origins, &c.held[i])
		}
	}
	r.adopt(at, &s)
	r.repair.completed++
	r.exchanged(at, p)
	if mine := [2]uint64{r.origins.vectorHash(), r.digest}; mine == [2]uint64{a.vector, a.digest} {
		backOff := min(max(2*p.fruitless.backOff, r.interval()), int64(maxBackOff))
		p.fruitless = fruitless{
			mine: mine, theirs: [2]uint64{p.vector, p.digest}, full: s.full, until: at.mono + backOff, backOff: backOff,
		}
	} else {
		p.fruitless = fruitless{}
		r.hurryBeat(at, 0) // others may lack what we have learned
	}
	if r.origins.at(p.origin).seen.head < p.head {
		r.findHole(at, p.origin, p.head)
	}
	r.wantPassedOver(at)
}

// takeLapse hears from a peer that it holds other owned keys of ours than we do: one of us has missed
// something, so everything is compared.
func (r *replica[T]) takeLapse(at instant, p *peer) {
	switch {
	case r.futile(at, p.origin, true):
	case r.repair.ask == nil:
		r.startAsk(at, p, true)
	default:
		r.repair.full = true
	}
}
