package podshare

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// The snapshotter adds what changed to the stored snapshot, from which pods start. It never replaces what
// it has not read: what is stored is merged into this store first, then all is stored. What a race between
// two pods overwrites comes back with the next snapshot. The author of a write stores it soon; the others
// look later, and write only if something is still missing, so that N pods do not write all N times.

// maxSnapshot bounds the stored snapshot that is read, in bytes.
const maxSnapshot = 1<<31 - 1

// lookLater is how many debounce windows pass before a pod looks after the writes of others: this many and
// up to twice as many.
const lookLater = 10

// snapshotTimeout bounds one fetching and storing.
const snapshotTimeout = 30 * time.Second

// restFactor is how many times as long as fetching and storing took the snapshotter then rests, for up to
// snapshotTimeout: large states under constant writes take a fifth of a core and of the disk, not all of it.
const restFactor = 4

type snapshotter struct {
	places []*snapshotPlace // at least one
	soon   chan struct{}    // one token: own writes are not stored yet
	later  chan struct{}    // one token: other writes may not be stored yet

	seed maphash.Seed
}

// snapshotPlace is one of the places that keep the snapshot: the transport, and each layer around it that has
// snapshots of its own. They are fetched and stored one by one, so that one that fails holds up no other.
type snapshotPlace struct {
	SnapshotStore

	// The rest belongs to the snapshotter goroutine, and to Close after it has ended.
	unstored bool   // it lacks something, or may
	written  uint64 // hash of what was last put there; 0: nothing, or what must be read again
}

func (p *snapshotter) init(t Transport) {
	p.places = snapshotPlaces(t)
	p.soon = make(chan struct{}, 1)
	p.later = make(chan struct{}, 1)
	p.seed = maphash.MakeSeed()
}

// snapshotPlaces returns the places of a transport, the outermost layer first: what is near does not wait for
// what is far.
func snapshotPlaces(t Transport) (places []*snapshotPlace) {
	for {
		k, ok := capability[SnapshotKeeper](t)
		if !ok {
			return append(places, &snapshotPlace{SnapshotStore: t})
		}
		places = append(places, &snapshotPlace{SnapshotStore: k.OwnSnapshots()})
		t = k.Unwrap()
	}
}

// load merges what is stored into a new store. It begins with the innermost place, which all pods share: what
// that covers of the others need not be decoded.
func (s *Store[T]) load(ctx context.Context) error {
	for _, place := range slices.Backward(s.snapshots.places) {
		data, err := place.FetchSnapshot(ctx, s.channel)
		if err != nil {
			return fmt.Errorf("podshare: fetch snapshot of %q: %w", s.topic, err)
		}
		if _, _, err := s.absorb(data); err != nil {
			s.report(err) // whoever is alive has all of it
		}
	}
	return nil
}

// absorb merges a stored snapshot into the store. It reports whether the store holds more than it, and the
// writes that it could not take.
func (s *Store[T]) absorb(data []byte) (more bool, refused []*update[T], err error) {
	if len(data) == 0 {
		return true, nil, nil
	}
	snap, err := openSnapshot(data, &s.core.cfg.codec)
	if err != nil {
		return true, nil, err
	}
	s.mu.Lock()
	news, more := s.core.knows(snap)
	s.mu.Unlock()
	if !news {
		return more, nil, nil
	}
	snap.decode(&s.core.cfg.codec, &s.cfg.limits)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.finished: // a Refresh that Close overtook
		return false, nil, ErrClosed
	default:
	}
	at := s.now()
	refused = s.core.absorb(at, snap)
	s.settleLocked(at)
	return more, refused, nil
}

// snapshotState is a stored snapshot, parsed and decoded.
type snapshotState[T any] struct {
	wire.Snapshot
	header  wire.Header
	updates []update[T]
}

func openSnapshot[T any](data []byte, c *codec[T]) (*snapshotState[T], error) {
	h, body, err := wire.Open(data, wire.Limits{MaxFrame: maxSnapshot})
	if err != nil {
		return nil, fmt.Errorf("podshare: stored snapshot: %w", err)
	}
	if string(h.Codec) != string(c.nameBytes) {
		return nil, fmt.Errorf("%w: stored snapshot has %.64q, this store %q", ErrCodecMismatch, h.Codec, c.nameBytes)
	}
	s := &snapshotState[T]{header: h}
	if err := s.Parse(body); err != nil {
		return nil, fmt.Errorf("podshare: stored snapshot: %w", err)
	}
	return s, nil
}

// decode makes the updates of the records.
func (s *snapshotState[T]) decode(c *codec[T], l *Limits) {
	s.updates = decodeRecords(nil, &s.RecordList, c, l)
}

// knows compares the vector of a snapshot with ours: whether it has news, and whether we have more. One that
// covers nothing new is not read: what it holds is held here or dead.
func (r *replica[T]) knows(snap *snapshotState[T]) (news, more bool) {
	theirs := map[origin]*wire.VectorEntry{}
	for i := range snap.Vector {
		v := &snap.Vector[i]
		o, known := r.origins.byID[v.ID]
		if !known {
			news = news || v.Head > 0 || len(v.Spans) > 0
			continue
		}
		theirs[o] = v
	}
	for i, st := range r.origins.list {
		v := theirs[origin(i)]
		if v == nil {
			v = &wire.VectorEntry{}
		}
		seen := seqSet{head: v.Head, spans: v.Spans}
		news = news || !st.forgotten && !st.seen.includes(&seen)
		more = more || !seen.includes(&st.seen) || v.Mark < st.mark
	}
	return news, more
}

// absorb merges a snapshot like a full answer. It returns what it could not take.
func (r *replica[T]) absorb(at instant, snap *snapshotState[T]) (refused []*update[T]) {
	from := r.internNode(snap.header.Node, snap.header.Boot)
	r.resolveUpdates(nil, from, snap.updates, &snap.RecordList)
	s := adoption[T]{updates: snap.updates, floor: snap.Floor, full: r.live+r.tombs > 0}
	for i := range snap.Vector {
		s.addVector(&r.origins, &snap.Vector[i])
	}
	r.adopt(at, &s)
	return s.refused
}

// encodeSnapshot returns the whole state of this moment, and with it what the stored snapshot holds and this
// store refused: it is not this store's to drop.
func (s *Store[T]) encodeSnapshot(refused []*update[T]) []byte {
	s.mu.Lock()
	w := s.core.captureSnapshot(s.now())
	s.mu.Unlock()
	data := w.encode(refused)
	for _, err := range w.errs {
		s.report(err)
	}
	return data
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
	for {
		select {
		case <-s.closed:
			return
		case <-p.soon:
			plan(debounce)
		case <-p.later:
			plan(lookLater*debounce + rand.N(lookLater*debounce)) //nolint:gosec // jitter
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
			}
		}
	}
}

// persist adds what changed since the last time to the stored snapshots. Where that fails it counts as not
// stored.
func (s *Store[T]) persist(ctx context.Context) error {
	s.mu.Lock()
	changed := s.core.unstored.any
	s.core.unstored = unstoredWrites{}
	s.mu.Unlock()
	var errs []error
	for _, place := range s.snapshots.places {
		place.unstored = place.unstored || changed
		if !place.unstored {
			continue
		}
		if err := s.mergeStored(ctx, place); err != nil {
			errs = append(errs, err)
			continue
		}
		place.unstored = false
	}
	return errors.Join(errs...)
}

// unstoredWrites says whether the stored snapshot lacks something of a replica's state.
type unstoredWrites struct {
	any, own         bool // a write; one that was made here
	toldAny, toldOwn bool // the snapshotter knows
}

func (s *Store[T]) mergeStored(ctx context.Context, p *snapshotPlace) error {
	seed := s.snapshots.seed
	stored, err := p.FetchSnapshot(ctx, s.channel)
	if err != nil {
		return fmt.Errorf("podshare: fetch snapshot: %w", err)
	}
	var refused []*update[T]
	if len(stored) == 0 || maphash.Bytes(seed, stored) != p.written {
		var more bool
		more, refused, err = s.absorb(stored)
		if err != nil {
			s.report(err)
		}
		if foreign(err) || err == nil && !more {
			return nil
		}
	}
	data := s.encodeSnapshot(refused)
	if err := p.Snapshot(ctx, s.channel, data); err != nil {
		return fmt.Errorf("podshare: store snapshot: %w", err)
	}
	p.written = 0 // what is refused must be read again next time, to be carried over again
	if len(refused) == 0 {
		p.written = maphash.Bytes(seed, data)
	}
	s.counts.snapshots.Add(1)
	s.counts.snapshotBytes.Store(int64(len(data)))
	return nil
}

// foreign reports whether a stored snapshot is another fleet's or a newer one's. It is left alone then.
func foreign(err error) bool {
	return errors.Is(err, ErrCodecMismatch) || errors.Is(err, wire.ErrVersion)
}

// finalSnapshot stores what is not stored yet, after the snapshotter has ended.
func (s *Store[T]) finalSnapshot(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the caller knows
	}
	return s.persist(ctx)
}
