package podshare

import (
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// Heartbeats are scaled to the fleet, so that what a pod receives does not grow with it.
const (
	minHeartbeat    = time.Second
	heartbeatPerPod = 70 * time.Millisecond
	missedBeats     = 3 // silence of so many intervals makes a pod silent
	enoughAnswers   = 3 // heartbeats of others that spare one that was brought forward
)

// peer is another live run of a store of the topic, as its frames show it.
type peer struct {
	origin   origin
	since    int64 // monotonic ns of its first frame since it was not live
	heard    int64 // monotonic ns of its last frame
	offset   int64 // its clock minus ours, ns, at that moment
	interval int64 // ns between its heartbeats, as it announced
	head     uint64
	beats    int  // heartbeats heard, up to 2
	live     bool // in peers.list
	gone     bool // said goodbye; an origin never returns after that
	namesake bool // has our node ID, and we said so
	caughtUp bool // it said so
	replaced bool // a run of its node came, and this one was not heard since: it has most likely ended

	vector, digest, owned uint64 // from its last heartbeat
	told                  int64  // monotonic ns of our last lapse notice to it
	passedOver            bool   // see replica.passOver

	seen      uint64 // it has said that it has seen so many of our writes
	asks      bool   // it wants to be told when so many of its are seen here as
	asked     uint64 // this, and later
	askedLast uint64 // this; asked ≤ askedLast

	wanted   uint64 // the last series that it asked for
	sentMany bool   // the answer to it has more than one chunk

	fruitless fruitless // the last exchange with it that changed nothing
}

// peers is whom a replica hears.
type peers struct {
	list     []*peer // heard within their patience, in order of first hearing
	met      bool    // another pod was ever heard
	missing  int     // fell silent without a goodbye, and were not heard since
	nextBeat int64   // monotonic ns of our next heartbeat
	skipped  bool    // the last one was left out, for a frame had just carried the head
	headSent uint64  // the head that our last frame carried
	planned  int64   // monotonic ns of the regular one; nextBeat may be brought forward from it
	urgent   bool    // somebody waits for the next one
	hurried  int64   // monotonic ns at which nextBeat was brought forward
	others   int     // heartbeats since then of pods that were known before
	wrong    bool    // our clock is overruled
	asking   int     // peers in list with asks set
}

// startPeers begins to listen, and makes itself heard at once.
func (r *replica[T]) startPeers(at instant) {
	r.peers.nextBeat, r.peers.planned = at.mono, at.mono
	r.peers.urgent = true // others wait for the first one
	r.listens = at.mono
}

// hear notes a sign of life of an origin.
func (r *replica[T]) hear(at instant, o origin, h *wire.Header) *peer {
	st := r.origins.at(o)
	r.origins.remember(st)
	p := st.peer
	if p == nil {
		p = &peer{origin: o, interval: r.interval()}
		st.peer = p
	}
	if p.gone {
		return p // a frame that was overtaken by the goodbye
	}
	if !p.live {
		p.live, p.since = true, at.mono
		if p.heard != 0 {
			r.peers.missing--
		}
		r.replaceRuns(st.node)
		r.peers.list = append(r.peers.list, p)
		if p.asks {
			r.peers.asking++
		}
		r.peers.met = true
		r.news++
		r.hurryAsk(at)
		r.hurryBeat(at, 5*time.Millisecond*time.Duration(len(r.peers.list)))
	}
	p.replaced = false
	p.heard = at.mono
	p.offset = h.Clock - at.wall
	p.head = max(p.head, h.Head)
	r.ownerHeard(at, o)
	return p
}

// replaceRuns notes that a run of a node has come, which may take the place of one that died.
func (r *replica[T]) replaceRuns(node string) {
	for _, p := range r.peers.list {
		p.replaced = p.replaced || r.origins.at(p.origin).node == node
	}
}

// alive reports whether an origin is this one or has been heard lately.
func (r *replica[T]) alive(o origin) bool {
	if o == self {
		return true
	}
	p := r.origins.at(o).peer
	return p != nil && p.live
}

// silentFor returns how long an origin has not been heard: at most since this run began.
func (r *replica[T]) silentFor(at instant, o origin) int64 {
	if o == self {
		return 0
	}
	heard := r.started
	if p := r.origins.at(o).peer; p != nil {
		heard = p.heard
	}
	return at.mono - heard
}

func (r *replica[T]) saidGoodbye(o origin) bool {
	p := r.origins.at(o).peer
	return p != nil && p.gone
}

// cutOff reports whether other pods were heard once, did not all say goodbye, and none is heard now.
func (r *replica[T]) cutOff() bool { return len(r.peers.list) == 0 && r.peers.missing > 0 }

// interval is the time between two heartbeats of this pod, in ns.
func (r *replica[T]) interval() int64 {
	return max(int64(r.cfg.heartbeat), int64(heartbeatPerPod)*int64(len(r.peers.list)+1))
}

// patience is how long a peer may be silent and still count as live.
func (p *peer) patience(ours int64) int64 { return missedBeats * max(p.interval, ours) }

// watchPeers drops those that fell silent, and sets the clock right.
func (r *replica[T]) watchPeers(at instant) {
	kept := r.peers.list[:0]
	r.peers.asking = 0
	offsets := make([]int64, 1, len(r.peers.list)+1) // our own is 0
	for _, p := range r.peers.list {
		switch {
		case p.gone:
			p.live = false
		case at.mono-p.heard > p.patience(r.interval()):
			p.live = false
			r.peers.missing++
		default:
			if kept = append(kept, p); p.asks {
				r.peers.asking++
			}
			offsets = append(offsets, p.offset)
		}
	}
	if len(kept) < len(r.peers.list) {
		r.unstored.look = true // it may have stored what it could not send any more
		r.news++
	}
	clear(r.peers.list[len(kept):])
	r.peers.list = kept
	if !r.on(ruleMedianClock) {
		offsets = nil
	}
	wrong := r.clock.correct(offsets)
	if wrong && !r.peers.wrong {
		r.report(&SkewError{Offset: time.Duration(-r.clock.offset.Load())})
	}
	r.peers.wrong = wrong
}

// beat sends a heartbeat when one is due. One is left out when a frame has just carried the head, never
// two in a row, for only heartbeats carry the hashes.
func (r *replica[T]) beat(at instant) {
	if at.mono < r.peers.nextBeat {
		return
	}
	head := r.origins.at(self).seen.head
	regular := at.mono >= r.peers.planned
	if regular && head != r.peers.headSent && !r.peers.skipped && !r.peers.urgent {
		r.peers.skipped = true
	} else {
		r.peers.skipped, r.peers.urgent = false, false
		r.sendHeartbeat(at)
	}
	r.peers.headSent = head
	if regular {
		r.peers.planned = at.mono + r.jitter(r.interval())
	}
	r.peers.nextBeat = r.peers.planned
}

// hurryBeat brings the next heartbeat forward to some moment within d, for somebody waits for it.
func (r *replica[T]) hurryBeat(at instant, d time.Duration) {
	if r.peers.nextBeat == never {
		return // see Store.deafen
	}
	r.peers.urgent = true
	next := at.mono
	if d > 0 {
		next += r.rng.Int64N(int64(d))
	}
	if next < r.peers.nextBeat {
		r.peers.nextBeat, r.peers.hurried, r.peers.others = next, at.mono, 0
	}
}

// jitter returns d ± 10 %.
func (r *replica[T]) jitter(d int64) int64 { return d - d/10 + r.rng.Int64N(d/5+1) }

func (r *replica[T]) sendHeartbeat(at instant) {
	m := wire.Heartbeat{
		Vector:         r.origins.vectorHash(),
		Digest:         r.digest,
		Owned:          r.ownedHash(self),
		IntervalMillis: uint64(r.interval() / int64(time.Millisecond)),
		MinVersion:     wire.Version,
		MaxVersion:     wire.Version,
		Pods:           uint64(len(r.peers.list) + 1),
	}
	if r.caughtUp {
		m.Flags = beatCaughtUp
	}
	h := r.header(at)
	r.out.frames = append(r.out.frames, outFrame{bytes: m.Append(nil, &h)})
	r.count.heartbeats++
}

// header of a frame sent now.
func (r *replica[T]) header(at instant) wire.Header {
	st := r.origins.at(self)
	return wire.Header{Node: st.nodeBytes(), Boot: st.id.Boot, Clock: at.wall, Head: st.seen.head, Codec: r.cfg.codec.nameBytes}
}

// takeHeartbeat compares a peer's state with ours.
func (r *replica[T]) takeHeartbeat(at instant, p *peer, m *wire.Heartbeat) {
	p.interval = int64(min(m.IntervalMillis, uint64(time.Hour/time.Millisecond))) * int64(time.Millisecond)
	p.vector, p.digest, p.owned = m.Vector, m.Digest, m.Owned
	p.caughtUp = m.Flags&beatCaughtUp != 0
	p.beats = min(p.beats+1, 2)
	if p.beats == 2 && !p.namesake && r.origins.at(p.origin).node == r.cfg.node {
		p.namesake = true
		r.report(ErrNodeIDTaken)
	}
	if p.since < r.peers.hurried && (p.caughtUp || !r.caughtUp) { // the answer of a newcomer does not spare that of who knows more
		r.peers.others++
	}
	if ow := r.owners[self]; r.peers.others > enoughAnswers && (ow == nil || len(ow.keys) == 0) { // else it waits for ours
		r.peers.nextBeat, r.peers.urgent = r.peers.planned, false // enough others have answered the newcomer
	}
	r.compare(at, p)

	if ow := r.origins.at(p.origin); r.on(ruleLapseNotice) && ow.seen.head == p.head && ow.seen.max() == p.head &&
		r.ownedHash(p.origin) != p.owned && at.mono-p.told >= r.interval() {
		p.told = at.mono
		h := r.header(at)
		n := wire.Lapse{To: ow.id}
		r.out.frames = append(r.out.frames, outFrame{to: ow.node, bytes: n.Append(nil, &h)})
	}
}

// takeGoodbye ends a peer's life: its owned keys lapse at once.
func (r *replica[T]) takeGoodbye(at instant, p *peer) {
	p.gone = true
	if ow := r.owners[p.origin]; ow != nil && r.on(ruleGoodbyeLapses) {
		ow.lapseAt.Store(at.mono)
	}
	r.watchPeers(at)
	r.lapse(at)
}

func (r *replica[T]) sendGoodbye(at instant) {
	h := r.header(at)
	r.out.frames = append(r.out.frames, outFrame{bytes: (&wire.Goodbye{}).Append(nil, &h)})
}
