package podshare

import (
	"errors"
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// receive takes in a frame that was opened. It reports whether it keeps it: then it must not be reused.
func (r *replica[T]) receive(at instant, in *inbound[T]) (kept bool) {
	h := &in.header
	from := r.internNode(h.Node, h.Boot)
	if from == self {
		return false // an echo
	}
	if to, addressed := in.to(); addressed && to != r.origins.at(self).id {
		return false // for a namesake
	}
	p := r.hear(at, from, h)
	switch h.Kind {
	case wire.KindData:
		r.count.delay.add(at.wall - h.Clock)
		r.takeData(at, p, in)
	case wire.KindHeartbeat:
		r.takeHeartbeat(at, p, &in.heartbeat)
		r.findHole(at, from, p.head)
	case wire.KindGoodbye:
		r.takeGoodbye(at, p)
		r.findHole(at, from, p.head)
	case wire.KindWant:
		r.takeWant(at, p, &in.want)
	case wire.KindList:
		r.takeList(at, p, &in.list)
	case wire.KindHave:
		kept = r.takeHave(at, p, in)
		r.answerAsks(at)
		return kept
	case wire.KindMore:
		r.takeMore(at, p, &in.more)
	case wire.KindLapse:
		r.takeLapse(at, p)
	case wire.KindAsk:
		r.takeAsk(at, p, h.Head)
	case wire.KindSeen:
		r.takeSeen(p, &in.seen)
	case wire.KindSnapshot: // open refuses it
	}
	return false
}

// to returns whom an addressed frame is for.
func (in *inbound[T]) to() (wire.ID, bool) {
	switch in.header.Kind {
	case wire.KindWant:
		return in.want.To, true
	case wire.KindList:
		return in.list.To, true
	case wire.KindHave:
		return in.have.To, true
	case wire.KindMore:
		return in.more.To, true
	case wire.KindLapse:
		return in.lapse.To, true
	case wire.KindSeen:
		return in.seen.To, true
	default:
		return wire.ID{}, false
	}
}

// takeData applies what a peer wrote. A batch is applied in one step or refused whole; its neighbours in
// the frame are not touched by that.
func (r *replica[T]) takeData(at instant, p *peer, in *inbound[T]) {
	r.resolve(p.origin, in, &in.data.RecordList)
	for us := in.updates; len(us) > 0; {
		n := 1
		for us[0].batch.n > 1 && n < len(us) && us[n].batch == us[0].batch && us[n].origin == us[0].origin {
			n++
		}
		r.takeBatch(at, us[:n])
		us = us[n:]
	}
	r.collectOnWrite(at)
	r.answerAsks(at)
	r.findHole(at, p.origin, p.head)
}

func (r *replica[T]) takeBatch(at instant, us []update[T]) {
	r.tryBatch(at, us)
	if r.refuses(at, us) {
		return
	}
	if len(us) == 1 {
		r.apply(at, &us[0])
	} else {
		r.atomically(len(us), func() {
			for i := range us {
				r.apply(at, &us[i])
			}
		})
	}
	r.refuses(at, us) // a Merger that fails finds out only now
}

// tryBatch has the Merger join the updates of batches and drops the results: one that fails does so before anything is
// applied, for a batch is refused whole.
func (r *replica[T]) tryBatch(at instant, us []update[T]) {
	if r.cfg.merge == nil {
		return
	}
	for i := range us {
		if u := &us[i]; u.batch.n > 1 && u.err == nil && u.origin != self && !r.origins.covers(u.dot()) {
			_, u.err = r.successor(at, r.lookup(u.key), u)
		}
	}
}

// refuses notes the batch as refused if one of its updates is.
func (r *replica[T]) refuses(at instant, us []update[T]) bool {
	for i := range us {
		if us[i].err == nil || us[i].origin == self || r.origins.covers(us[i].dot()) {
			continue
		}
		r.reportRefused(&us[i])
		run := span{First: us[i].seq, Last: us[i].seq}
		if us[i].batch.n > 1 {
			run = span{First: us[i].batch.first, Last: us[i].batch.first + us[i].batch.n - 1}
		}
		var dots seqSet
		dots.add(run.First, run.Last)
		r.refuse(at, us[i].origin, &dots)
		for j := range us {
			r.refuseKey(us[j].key, &us[j].write)
		}
		return r.on(ruleRefuseBatch)
	}
	return false
}

// reportRefused reports why an update is refused.
func (r *replica[T]) reportRefused(u *update[T]) {
	if !errors.Is(u.err, errOutdated) {
		r.report(&KeyError{Key: string(u.key), Err: u.err})
	}
}

// sweepBudget bounds how many keys expire, lapse or are collected in one go, so that writers do not wait long.
const sweepBudget = 1024

// tick does what is due at this time and says when it wants to be called next (monotonic ns).
func (r *replica[T]) tick(at instant) int64 {
	r.watchPeers(at)
	r.expire(at)
	r.lapse(at)
	r.rewriteLapsed(at)
	if at.mono >= r.collectAt {
		r.collect(at)
	}
	r.tickRepair(at)
	r.tickAsk(at)
	r.beat(at)
	r.watchHealth(at)
	r.watchCatchUp(at)
	if r.origins.active > r.cfg.limits.Origins && at.mono-r.started > int64(r.cfg.tombstoneTTL) {
		// Not earlier: whoever is alive has been heard by then.
		r.origins.forgetOldest(uint64(max(r.clock.now(at)-int64(r.cfg.tombstoneTTL), 0)))
	}
	if n := r.origins.forgotten; n != r.count.forgotten {
		r.report(fmt.Errorf("%w: %d runs of stores, limit %d: the oldest were forgotten", ErrTooMany,
			len(r.origins.list), r.cfg.limits.Origins))
		r.count.forgotten = n
	}
	return r.next(at)
}

// next is the monotonic time of the next tick.
func (r *replica[T]) next(at instant) int64 {
	next := min(r.peers.nextBeat, r.nextLapse(), r.collectAt, r.nextAsk())
	if r.repair.ask != nil {
		next = min(next, r.repair.ask.timeout)
	} else {
		next = min(next, r.repair.due)
	}
	if lonelyAt := r.listens + int64(lonely); !r.caughtUp && !r.deaf && at.mono < lonelyAt {
		next = min(next, lonelyAt)
	}
	if len(r.lapsed) > 0 {
		next = min(next, at.mono+int64(time.Millisecond))
	}
	if a, ok := r.deadlines.first(); ok {
		next = min(next, at.mono+max(a.at-r.clock.now(at), 0))
	}
	for _, p := range r.peers.list {
		next = min(next, p.heard+p.patience(r.interval())+1)
	}
	for _, a := range r.repair.answers {
		if a.scanning() {
			return at.mono
		}
		next = min(next, a.touched+int64(answerIdle)+1)
	}
	return max(next, at.mono)
}

// earliest is a cheap bound on next: what a frame or a write may have brought forward.
func (r *replica[T]) earliest() int64 {
	due := min(r.peers.nextBeat, r.lapseAt, r.nextAsk(), r.collectAt)
	if r.repair.ask != nil {
		due = min(due, r.repair.ask.timeout)
	} else {
		due = min(due, r.repair.due)
	}
	for _, a := range r.repair.answers {
		if a.scanning() {
			return 0
		}
	}
	if len(r.lapsed) > 0 && r.sent.Count() == 0 { // else they wait for the publisher, which may be stuck
		return 0
	}
	return due
}
