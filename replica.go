package podshare

import (
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/podshare/podshare/internal/cells"
	"github.com/podshare/podshare/internal/wire"
)

// replica is the state of one store: a pure machine without clock, goroutine or I/O. Time comes in with
// every call, frames and errors go out through the effects. It is not safe for concurrent use; the shell
// guards it with Store.mu. Only the index is shared: readers load its cells without a lock.
//
// Every dot is unseen, live or dead, and only ever moves forward; merging two replicas takes the further
// state of each. That makes the state a join semilattice, see DESIGN.md.
//
// Invariants, checked by [replica.check] in tests:
//
//	every entry's dot is covered by origins, but while a joining store is filled (see joining)
//	live + tombs = entries of the index
//	digest = Σ hash(dot) over live writes without deadline or owner
type replica[T any] struct {
	cfg   replicaConfig[T]
	index *cells.Map[item[T]]

	origins origins
	clock   clock
	floor   int64  // the newest stamp ever collected
	digest  uint64 // see originState.dotHash
	live    int    // keys that are not dead
	tombs   int    // keys that are

	graves    ageHeap // dead writes by age, for collection
	lingering []aged  // those of sufficient age that may not be collected yet
	deadlines ageHeap // live writes by deadline
	owners    map[origin]*owner
	lastExt   *ext[T] // see intern
	followers followers[T]

	group    *group[T]      // the group being applied, nil outside one
	sent     *wire.Records  // local writes that no frame carries yet
	unstored unstoredWrites // what the stored snapshot lacks
	recent   recentWrites   // where the newest dots are held, so that small repairs need no scan

	started        int64 // monotonic ns
	peers          peers
	asking         asking
	repair         repair[T]
	exchanges      uint64 // how often this replica and another were found equal or made so
	refused        refusals
	refusedKeys    refusedKeys
	refusedFull    bool             // refusedKeys has no room, as far as is known
	lapsed         []keyedDot       // owned keys of ours that lapsed elsewhere, to be written again
	rewritten      map[string]int64 // those that were, and when (monotonic ns)
	rewrittenSweep int              // the size of rewritten at which it is swept
	collectAt      int64            // monotonic ns of the next collection
	lapseAt        int64            // monotonic ns at which more keys lapse, of those that one go left

	health     health
	connection connection
	deaf       bool   // no frame comes: the subscription has ended, or has not begun
	listens    int64  // monotonic ns since when frames come
	caughtUp   bool   // the first catching up is over
	news       uint64 // changes when callers who wait for others may go on

	rng   *rand.Rand // jitter
	out   effects[T]
	count counters

	scratch struct {
		replaced []dot
		dots     []wire.Dot
		origins  []origin
	}
}

// replicaConfig is what a replica is told at its birth. All of it is valid: New has checked it.
type replicaConfig[T any] struct {
	node         string
	boot         uint64
	codec        codec[T]
	merge        func(existing, incoming T) (T, error) // nil: the newest write wins
	limits       Limits
	tombstoneTTL time.Duration
	maxSkew      time.Duration
	quietSkew    bool // writes stamped beyond maxSkew are not reported
	lease        time.Duration
	heartbeat    time.Duration // the shortest interval
	collectEvery time.Duration
	seed         uint64
	hashSeed     maphash.Seed // of the index
	off          rule         // rules switched off by a test
}

// effects are what the replica wants done by its shell, in the order they came up.
type effects[T any] struct {
	frames []outFrame
	errs   []error
	// changed hears of every visible change in the order in which it was applied: what the key became, and whether it is
	// fresh, not seen by readers before.
	changed func(kind EventKind, e *entry[T], fresh bool)
}

// outFrame is a complete frame to publish: to the topic, or to the inbox of one node.
type outFrame struct {
	to    string // node whose inbox it goes to; "": everybody
	bytes []byte
}

func newReplica[T any](cfg replicaConfig[T], at instant) *replica[T] {
	r := &replica[T]{
		cfg:     cfg,
		started: at.mono,
		index:   cells.NewSeeded[item[T]](cfg.hashSeed),
		origins: newOrigins(cfg.node, cfg.boot, cfg.limits.Origins),

		owners:      map[origin]*owner{},
		followers:   followers[T]{},
		repair:      repair[T]{due: never},
		lapseAt:     never,
		refused:     refusals{},
		refusedKeys: refusedKeys{},
		rewritten:   map[string]int64{},
		rng:         rand.New(rand.NewPCG(cfg.seed, cfg.boot)), //nolint:gosec // jitter
	}
	r.clock.maxSkew = int64(cfg.maxSkew)
	r.origins.oneClass = !r.on(ruleSeedsBelowWrites)
	r.clock.gullible = !r.on(ruleObserveWithinSkew)
	r.sent = r.newRecords()
	r.startPeers(at)
	return r
}

// newRecords returns an empty list of records for frames of this replica.
func (r *replica[T]) newRecords() *wire.Records {
	rs := new(wire.Records)
	st := r.origins.at(self)
	rs.Reset(st.nodeBytes(), st.id.Boot)
	return rs
}

// report hands an error to the user's error handler.
func (r *replica[T]) report(err error) { r.out.errs = append(r.out.errs, err) }

// lookup returns the state of a key, as the group being applied left it.
func (r *replica[T]) lookup(key []byte) *entry[T] {
	if r.group != nil {
		if i, ok := r.group.keys[string(key)]; ok {
			return r.group.steps[i].after
		}
	}
	return r.index.GetBytes(key)
}

// put makes next the state of its key, in place of cur, and keeps every count and queue in step. It is
// the only place that changes the state of a key, but for the collection of tombstones.
func (r *replica[T]) put(cur, next *entry[T]) {
	hash := r.index.Hash(next.Key)
	if r.group != nil {
		r.group.stage(cur, next)
	} else {
		r.index.PutHashed(next, hash)
		if len(r.followers) > 0 {
			r.followers.step(next.Key, next)
		}
	}
	if cur != nil {
		r.countOut(cur)
	}
	r.countIn(cur, next)
	r.noteChange(next.Key, cur, next)
	r.remember(hash, cur, next)

	if r.group == nil {
		r.tellStep(cur, next)
	}
}

// tellStep tells watchers of the step from cur to next, if they see any. Of a group they are told once a
// key, when it is complete.
func (r *replica[T]) tellStep(cur, next *entry[T]) {
	if kind, visible := r.event(cur, next); visible {
		r.out.changed(kind, next, !r.shown(cur))
	}
}

// quietly makes changes that watchers are not told of.
func (r *replica[T]) quietly(do func()) {
	tell := r.out.changed
	r.out.changed = func(EventKind, *entry[T], bool) {}
	defer func() { r.out.changed = tell }()
	do()
}

// event says what the step from cur to next looks like to a watcher, if it sees anything.
func (r *replica[T]) event(cur, next *entry[T]) (EventKind, bool) {
	switch {
	case r.shown(next):
		return EventSet, !r.shown(cur) || !sameParts(cur, next)
	case !r.shown(cur):
		return 0, false
	case next.Val.flags&flagDeleted != 0:
		return EventDelete, true
	default: // expired, lapsed, or replaced by one whose owner was not heard yet
		return EventExpire, true
	}
}

// shown reports whether readers are served e, deadlines aside: it is live, and if it is owned its origin
// has been heard.
func (r *replica[T]) shown(e *entry[T]) bool {
	if e == nil || e.Val.dead() {
		return false
	}
	return e.Val.ext == nil || e.Val.ext.owner == nil || e.Val.ext.owner.heard.Load()
}

// read returns what readers are given of e at this moment: its value, if it is live, its deadline has not passed and
// its owner was heard within the lease. Any goroutine may call it. It allocates nothing, but where a part of a joined
// value is over and not latched yet.
func (r *replica[T]) read(at instant, e *entry[T]) (value T, served bool) {
	x := e.Val.ext
	switch {
	case e.Val.dead() || x == nil:
		return e.Val.value, !e.Val.dead()
	case x.join != nil && r.overdue(at, x.join):
		return r.remaining(at, x.join)
	case !r.inTime(at, x.deadline, x.owner):
		return value, false
	default:
		return e.Val.value, true
	}
}

// inTime reports whether a deadline has not passed and an owner was heard within the lease.
func (r *replica[T]) inTime(at instant, deadline int64, ow *owner) bool {
	return (deadline == 0 || r.clock.now(at) < deadline) && (ow == nil || ow.serves(at.mono))
}

// group is a set of changes that readers see all at once. They are staged beside the index until it ends.
type group[T any] struct {
	commit *commit[T]
	keys   map[string]int // index of the step of each key
	steps  []step[T]      // one for each key, in the order in which they were first staged
}

// step is the state of a key before and after a group.
type step[T any] struct {
	before, after *entry[T]
}

// atomically applies what do changes, about n keys, as one step for every reader.
func (r *replica[T]) atomically(n int, do func()) {
	if r.group != nil {
		do() // part of a larger step
		return
	}
	g := &group[T]{commit: &commit[T]{}, keys: make(map[string]int, n), steps: make([]step[T], 0, n)}
	r.group = g
	do()
	r.group = nil

	g.commit.before.Store(g)
	for i := range g.steps {
		r.index.Put(g.steps[i].after)
	}
	if len(r.followers) > 0 {
		for i := range g.steps {
			r.followers.step(g.steps[i].after.Key, g.steps[i].after)
		}
	}
	g.commit.finish()
	for i := range g.steps {
		r.tellStep(g.steps[i].before, g.steps[i].after)
	}
}

func (g *group[T]) stage(cur, next *entry[T]) {
	i, ok := g.keys[next.Key]
	if !ok {
		i = len(g.steps)
		g.keys[next.Key] = i
		g.steps = append(g.steps, step[T]{before: cur})
	}
	g.steps[i].after = next
}
