package podshare

import (
	"context"
	"errors"
	"time"

	"github.com/podshare/podshare/internal/wire"
)

var errTTL = errors.New("podshare: TTL is not positive")

// lifetime says how long what is written lasts. The zero value: until it is deleted or replaced.
type lifetime struct {
	ttl   time.Duration // 0: none
	owned bool          // as long as this run of this store
}

// SetTTL is [Store.Set] of a value that lasts for ttl, after which no pod serves it any more and watchers get one
// [EventExpire]. To renew is to set again. Set and SetMany replace the deadline, by none or that of [WithTTL]; TrySet
// and Update keep it. With a Merger all that this store wrote of the key lasts as long as what lasts longest of it: for
// good, with this store (see [Store.SetOwned]), or until the latest deadline.
//
// The deadline is this pod's time of day plus ttl, and every pod judges it by its own: clocks that differ move it by as
// much, at most by [WithMaxClockSkew]. A ttl that is not positive is an error.
func (s *Store[T]) SetTTL(ctx context.Context, key string, value T, ttl time.Duration) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if ttl <= 0 {
		return errTTL
	}
	return s.set(ctx, key, value, lifetime{ttl: min(ttl, forever)})
}

// SetOwned is [Store.Set] of a value that lasts as long as this store does: presence, routes. When no pod has heard
// of this one for the lease ([WithLease]), or it said goodbye by closing, the key is gone everywhere, and watchers
// get one [EventExpire]. That costs no traffic: the heartbeats that are sent anyway renew it. A pod that was merely
// cut off gets its keys back, unless somebody else has written them.
//
// A key belongs to whoever wrote it last: Set by anybody makes it an ordinary one, TrySet and Update make it the
// writer's own. A store that starts holds the owned keys of others, and serves each from when it hears its owner. With
// a Merger it is this store's contribution that lasts as long as the store, unless a part of it was set to stay. Delete
// finds nothing to delete of a key that has lapsed: it comes back with its owner.
func (s *Store[T]) SetOwned(ctx context.Context, key string, value T) error {
	return s.set(ctx, key, value, lifetime{owned: true})
}

// give makes a write last for a lifetime that begins now.
func (r *replica[T]) give(at instant, l *localWrite[T], life lifetime) {
	if life.owned {
		l.flags |= flagOwned
	}
	if life.ttl > 0 {
		l.deadline = min(r.clock.now(at)+int64(life.ttl), wire.MaxStamp)
	}
}

// inheritLocked makes a write last as what it takes the place of does: e, or with a Merger this store's part of it, or, if
// it has none, what lasts longest of the others'. exists is what the caller was told of e: a deadline that passes at
// this moment is kept all the same.
func (s *Store[T]) inheritLocked(l *localWrite[T], e *entry[T], exists bool) {
	at := s.now()
	if !exists {
		s.core.give(at, l, lifetime{ttl: s.cfg.ttl})
		return
	}
	var longest *partView[T]
	for p := range s.core.parts(e) {
		if s.core.cfg.merge != nil && (p.dead() || !s.core.inTime(at, p.deadline, p.owner)) {
			continue // over: what is written would be over at once
		}
		if p.origin == self {
			longest = &p
			break
		}
		if longest == nil || p.outlasts(longest) {
			longest = &p
		}
	}
	if longest == nil { // over at this moment
		s.core.give(at, l, lifetime{ttl: s.cfg.ttl})
		return
	}
	l.flags |= longest.flags & flagOwned
	l.deadline = longest.deadline
}

// outlasts reports whether p lasts longer than q: for good, as long as its owner, until a later deadline.
func (p *partView[T]) outlasts(q *partView[T]) bool {
	if (p.deadline == 0) != (q.deadline == 0) {
		return p.deadline == 0
	}
	if owned := p.flags&flagOwned != 0; owned != (q.flags&flagOwned != 0) {
		return !owned
	}
	return p.deadline > q.deadline
}
