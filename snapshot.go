package podshare

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"
)

// The snapshotter adds what changed to the stored snapshot, from which pods start. The author of a write stores it
// soon; the others look later, and write only if something is still missing, so that N pods do not write all N times.

// lookLater is how many debounce windows pass before a pod looks after the writes of others: this many and
// up to twice as many.
const lookLater = 10

// snapshotTimeout bounds one fetching and storing.
const snapshotTimeout = 30 * time.Second

// restFactor is how many times as long as fetching and storing took the snapshotter then rests, for up to
// snapshotTimeout: large states under constant writes take a fifth of a core and of the disk, not all of it.
const restFactor = 4

// lookEvery is how often a table is looked at by a store that has nothing to store: it may have been lost.
const lookEvery = time.Minute

type snapshotter[T any] struct {
	places []*snapshotPlace  // at least one
	table  *tableSnapshot[T] // the last place, if it is a table
	mesh   bool              // the last place is none: what is here is nowhere but at other pods
	soon   chan struct{}     // one token: own writes are not stored yet
	later  chan struct{}     // one token: other writes may not be stored yet
}

// snapshotPlace is one of the places that keep the snapshot: the transport, and each layer around it that has
// snapshots of its own. They are loaded and merged into one by one, so that one that fails holds up no other.
type snapshotPlace struct {
	storedState
	unstored bool // it lacks something, or may. The snapshotter goroutine owns it, and Close after that has ended
}

// storedState is a stored snapshot.
type storedState interface {
	// load merges it into the store. unusable says why what is stored cannot be.
	load(ctx context.Context) (unusable, err error)

	// store merges the store into it. Unless that has changed it only looks whether anything is missing there, or here.
	store(ctx context.Context, changed bool) error
}

// load is that of the place. One that panics has failed.
func (p *snapshotPlace) load(ctx context.Context) (unusable, err error) {
	defer recovered(&err)
	return p.storedState.load(ctx)
}

// store is that of the place. One that panics has failed.
func (p *snapshotPlace) store(ctx context.Context, changed bool) (err error) {
	defer recovered(&err)
	return p.storedState.store(ctx, changed)
}

func (s *Store[T]) initSnapshots(t Transport) {
	p := &s.snapshots
	p.soon = make(chan struct{}, 1)
	p.later = make(chan struct{}, 1)
	for { // the outermost layer first: what is near does not wait for what is far
		k, ok := capability[SnapshotKeeper](t)
		if !ok {
			break
		}
		p.add(&wholeSnapshot[T]{kept: k.OwnSnapshots(), host: s, seed: maphash.MakeSeed()})
		t = k.Unwrap()
	}
	if table, ok := capability[SnapshotTable](t); ok {
		p.table = newTableSnapshot(table, s)
		s.core.unstored.tracked = true
		p.add(p.table)
		return
	}
	whole := &wholeSnapshot[T]{kept: t, host: s, seed: maphash.MakeSeed()}
	if _, p.mesh = capability[Mesh](t); p.mesh {
		p.add(&loadedSnapshot[T]{whole})
	} else {
		p.add(whole)
	}
}

func (p *snapshotter[T]) add(state storedState) {
	p.places = append(p.places, &snapshotPlace{storedState: state})
}

// load merges what is stored into a new store. It begins with the innermost place, which all pods share: what
// that covers of the others need not be decoded.
func (s *Store[T]) load(ctx context.Context) error {
	for _, place := range slices.Backward(s.snapshots.places) {
		unusable, err := place.load(ctx)
		if err != nil {
			return err
		}
		if unusable != nil {
			s.report(unusable) // whoever is alive has all of it
		}
	}
	return nil
}

// with is that of tableHost.
func (s *Store[T]) with(fn func(r *replica[T], at instant)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.finished: // a Refresh that Close overtook
		return ErrClosed
	default:
	}
	at := s.now()
	fn(s.core, at)
	s.settleLocked(at)
	return nil
}

// runSnapshotter stores what changed: own writes after the debounce window, others' much later.
func (s *Store[T]) runSnapshotter() {
	defer close(s.snapshotted)
	p := &s.snapshots
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due time.Time    // zero: nothing is to be stored
	var rested time.Time // nothing is stored before
	plan := func(d time.Duration) {
		d = max(d, time.Until(rested))
		if at := time.Now().Add(d); due.IsZero() || at.Before(due) {
			due = at
			timer.Reset(d)
		}
	}
	debounce := s.cfg.snapshotInterval
	var look <-chan time.Time
	if p.table != nil {
		ticker := time.NewTicker(lookEvery/2 + rand.N(lookEvery)) //nolint:gosec // jitter
		defer ticker.Stop()
		look = ticker.C
	}
	for {
		select {
		case <-s.closed:
			return
		case <-p.soon:
			plan(debounce)
		case <-p.later:
			plan(lookLater*debounce + rand.N(lookLater*debounce)) //nolint:gosec // jitter
		case <-look:
			s.lookAnew()
			plan(0)
		case <-timer.C:
			due = time.Time{}
			began := time.Now()
			ctx, cancel := context.WithTimeout(s.base, snapshotTimeout)
			err := s.persist(ctx)
			cancel()
			rested = time.Now().Add(min(restFactor*time.Since(began), snapshotTimeout))
			if err != nil {
				s.report(err)
				plan(lookLater * debounce)
			} else if p.table != nil && len(p.table.missing) > 0 {
				s.lookAnew()
				plan(lookLater * debounce)
			}
		}
	}
}

// persist adds what changed since the last time to the stored snapshots. Where that fails it counts as not
// stored.
func (s *Store[T]) persist(ctx context.Context) error {
	s.mu.Lock()
	u := &s.core.unstored
	changed, look := u.any, u.look
	if u.look && s.snapshots.table != nil {
		s.snapshots.table.looked = false
	}
	u.any, u.own, u.look, u.toldAny, u.toldOwn = false, false, false, false, false
	s.mu.Unlock()
	var errs []error
	for _, place := range s.snapshots.places {
		place.unstored = place.unstored || changed
		if !place.unstored && !look {
			continue
		}
		if err := place.store(ctx, place.unstored); err != nil {
			errs = append(errs, err)
			place.unstored = true
			continue
		}
		place.unstored = false
	}
	return errors.Join(errs...)
}

// lookAnew has the next persist look at what is stored, though nothing is to be stored.
func (s *Store[T]) lookAnew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.unstored.look = true
}

// stored counts a merge into a stored snapshot.
func (s *Store[T]) stored(bytes int) {
	s.counts.snapshots.Add(1)
	s.counts.snapshotBytes.Store(int64(bytes))
}

// finalSnapshot stores what is not stored yet, after the snapshotter has ended.
func (s *Store[T]) finalSnapshot(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the caller knows
	}
	if s.snapshots.table != nil {
		s.lookAnew() // it may have been lost a moment ago
	}
	return s.persist(ctx)
}
