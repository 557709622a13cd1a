package podshare

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/podshare/podshare/internal/wire"
)

// maxSnapshot bounds the stored snapshot that is read, in bytes.
const maxSnapshot = 1<<31 - 1

// wholeSnapshot is a snapshot that is stored as a whole. What a race between two pods overwrites comes back with the
// next one.
type wholeSnapshot[T any] struct {
	kept    SnapshotStore
	host    *Store[T]
	seed    maphash.Seed
	written uint64 // hash of what was last put there; 0: nothing, or what must be read again
}

func (p *wholeSnapshot[T]) load(ctx context.Context) (unusable, err error) {
	data, err := p.fetch(ctx)
	if err != nil {
		return nil, err
	}
	_, _, unusable = p.host.absorb(data)
	return unusable, nil
}

func (p *wholeSnapshot[T]) fetch(ctx context.Context) ([]byte, error) {
	data, err := p.kept.FetchSnapshot(ctx, p.host.channel)
	if err != nil {
		return nil, fmt.Errorf("podshare: fetch snapshot of %q: %w", p.host.topic, err)
	}
	return data, nil
}

// store merges what is stored into the store first: it never replaces what it has not read.
func (p *wholeSnapshot[T]) store(ctx context.Context, changed bool) error {
	s := p.host
	stored, err := p.fetch(ctx)
	if err != nil {
		return err
	}
	var refused []*update[T]
	if len(stored) == 0 || maphash.Bytes(p.seed, stored) != p.written {
		var more bool
		more, refused, err = s.absorb(stored)
		if err != nil {
			s.report(err)
		}
		if foreign(err) || err == nil && !more {
			return nil
		}
	} else if !changed {
		return nil
	}
	data := s.encodeSnapshot(refused)
	if err := p.kept.Snapshot(ctx, s.channel, data); err != nil {
		return fmt.Errorf("podshare: store snapshot of %q: %w", s.topic, err)
	}
	p.written = 0 // what is refused must be read again next time, to be carried over again
	if len(refused) == 0 {
		p.written = maphash.Bytes(p.seed, data)
	}
	s.stored(len(data))
	return nil
}

// loadedSnapshot is one that is only loaded, see Mesh.
type loadedSnapshot[T any] struct{ *wholeSnapshot[T] }

func (*loadedSnapshot[T]) store(context.Context, bool) error { return nil }

// foreign reports whether a stored snapshot is another fleet's or a newer one's. It is left alone then.
func foreign(err error) bool {
	return errors.Is(err, ErrCodecMismatch) || errors.Is(err, wire.ErrVersion)
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
	err = s.with(func(r *replica[T], at instant) { refused = r.absorb(at, snap) })
	return more, refused, err
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
