package podshare

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Set stores a value under a key, here at once and on every other pod soon, until it is replaced or deleted, or for
// as long as [WithTTL] says. An error other than
// [ErrBroadcast] means that nothing was changed: a bad key, a value that the codec or the limits refuse,
// an ended ctx, a closed store. ctx bounds how long the caller waits for the sending.
func (s *Store[T]) Set(ctx context.Context, key string, value T) error {
	return s.set(ctx, key, value, lifetime{ttl: s.cfg.ttl})
}

func (s *Store[T]) set(ctx context.Context, key string, value T, life lifetime) error {
	encoded, err := s.encode(ctx, key, value)
	if err != nil {
		return err
	}
	l := localWrite[T]{key: key, value: value, encoded: encoded}
	s.mu.Lock()
	if life != (lifetime{}) {
		s.core.give(s.now(), &l, life)
	}
	return s.applyLocked(ctx, &l)
}

// applyLocked applies one write and sends it. It unlocks mu.
func (s *Store[T]) applyLocked(ctx context.Context, l *localWrite[T]) error {
	if err := s.admitLocked(l.key); err != nil {
		s.mu.Unlock()
		return err
	}
	at := s.now()
	s.reserveLocked(at, recordBytes(len(l.key), len(l.encoded)))
	if err := s.core.write(at, l); err != nil {
		s.mu.Unlock()
		return err
	}
	return s.sendLocked(ctx, at)
}

// usable returns ErrClosed after Close, else the error of a ctx that has ended.
func (s *Store[T]) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// encode checks store, ctx and key, and encodes the value.
func (s *Store[T]) encode(ctx context.Context, key string, value T) ([]byte, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	limits := &s.cfg.limits
	if err := limits.checkKey(len(key)); err != nil {
		return nil, err
	}
	encoded, err := s.core.cfg.codec.encode(value)
	if err != nil {
		return nil, &KeyError{Key: key, Err: err}
	}
	if err := limits.checkValue(encoded); err != nil {
		return nil, &KeyError{Key: key, Err: err}
	}
	return encoded, nil
}

// admitLocked reports why a write of the key cannot be taken at this moment.
func (s *Store[T]) admitLocked(key string) error {
	if s.closing {
		return ErrClosed
	}
	if s.core.live >= s.cfg.limits.Keys {
		if e := s.index.Get(key); e == nil || e.Val.dead() {
			return fmt.Errorf("%w: %d keys are held, limit %d", ErrTooMany, s.core.live, s.cfg.limits.Keys)
		}
	}
	return nil
}

// Delete removes a key, here at once and on every other pod soon. A key that is not held is left alone.
// Errors are those of [Store.Set].
func (s *Store[T]) Delete(ctx context.Context, key string) error {
	return s.DeleteMany(ctx, []string{key})
}

// DeleteMany removes keys in one step: no reader of any pod sees some of them gone and others not. Keys that
// are not held are left alone. Errors are those of [Store.Set].
func (s *Store[T]) DeleteMany(ctx context.Context, keys []string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	size := 0
	for _, key := range keys {
		if err := s.cfg.limits.checkKey(len(key)); err != nil {
			return err
		}
		size += recordBytes(len(key), 0)
	}
	if err := s.checkBatch(len(keys), size); err != nil {
		return err
	}
	if len(keys) > 1 {
		keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	writes := make([]localWrite[T], 0, len(keys))
	for _, key := range keys {
		if e := s.index.Get(key); e != nil && !e.Val.dead() {
			writes = append(writes, localWrite[T]{key: key, flags: flagDeleted})
		}
	}
	if len(writes) == 0 {
		s.mu.Unlock()
		return nil
	}
	return s.sendBatchLocked(ctx, writes, size)
}

// SetMany stores several values in one step: no reader of any pod sees some of them and not the others. It
// is one frame, or is refused whole. Errors are those of [Store.Set].
func (s *Store[T]) SetMany(ctx context.Context, kvs map[string]T) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	writes := make([]localWrite[T], 0, len(kvs))
	size := 0
	for _, key := range slices.Sorted(maps.Keys(kvs)) { // sorting the writes, which are large, took a third of the time
		value := kvs[key]
		encoded, err := s.encode(ctx, key, value)
		if err != nil {
			return err
		}
		writes = append(writes, localWrite[T]{key: key, value: value, encoded: encoded})
		size += recordBytes(len(key), len(encoded))
	}
	if err := s.checkBatch(len(writes), size); err != nil {
		return err
	}
	s.mu.Lock()
	if life := (lifetime{ttl: s.cfg.ttl}); life.ttl > 0 {
		at := s.now() // one for all: the batch ends as it came
		for i := range writes {
			s.core.give(at, &writes[i], life)
		}
	}
	if err := s.admitBatchLocked(writes); err != nil || len(writes) == 0 {
		s.mu.Unlock()
		return err
	}
	return s.sendBatchLocked(ctx, writes, size)
}

// sendBatchLocked applies and sends writes of about size bytes in one step. It unlocks mu.
func (s *Store[T]) sendBatchLocked(ctx context.Context, writes []localWrite[T], size int) error {
	if len(writes) > 1 { // one by itself has room for what it replaces in any frame
		size += s.core.replacedBytes(writes)
		if err := s.checkBatch(len(writes), size); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	at := s.now()
	s.reserveLocked(at, size)
	if err := s.core.writeBatch(at, writes); err != nil {
		s.mu.Unlock()
		return err
	}
	return s.sendLocked(ctx, at)
}

func (s *Store[T]) admitBatchLocked(writes []localWrite[T]) error {
	if s.closing {
		return ErrClosed
	}
	if s.core.live+len(writes) <= s.cfg.limits.Keys {
		return nil
	}
	fresh := 0
	for i := range writes {
		if e := s.index.Get(writes[i].key); e == nil || e.Val.dead() {
			fresh++
		}
	}
	if s.core.live+fresh > s.cfg.limits.Keys {
		return fmt.Errorf("%w: %d keys held and %d new ones, limit %d", ErrTooMany, s.core.live, fresh, s.cfg.limits.Keys)
	}
	return nil
}

// checkBatch reports whether a batch is within what one frame may carry.
func (s *Store[T]) checkBatch(keys, size int) error {
	switch l := &s.cfg.limits; {
	case keys > l.BatchKeys:
		return fmt.Errorf("%w: batch of %d keys, limit %d", ErrTooMany, keys, l.BatchKeys)
	case size+frameOverhead > l.FrameBytes:
		return fmt.Errorf("%w: batch of about %d bytes, limit of a frame %d", ErrTooLarge, size, l.FrameBytes)
	}
	return nil
}

// recordBytes bounds what one write takes in a frame, but for what it replaces.
func recordBytes(key, value int) int { return key + value + 64 }

// Seed fills an empty store, for example with the defaults of a program. Seeds are ordered below every real
// write and every delete: a pod that seeds before it caught up overwrites nothing. They cause no events and
// are not sent as writes; other pods learn them by repair and snapshot. A store that holds a key gives
// [ErrSeedNonEmpty]; other errors are those of Set, and mean that nothing was stored.
//
// A key whose delete was forgotten, after the tombstone TTL, can be seeded again.
func (s *Store[T]) Seed(initial map[string]T) error {
	ctx := context.Background()
	writes := make([]localWrite[T], 0, len(initial))
	for _, key := range slices.Sorted(maps.Keys(initial)) {
		value := initial[key]
		encoded, err := s.encode(ctx, key, value)
		if err != nil {
			return err
		}
		writes = append(writes, localWrite[T]{key: key, value: value, encoded: encoded, flags: flagSeed})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return ErrClosed
	case s.core.live > 0:
		return ErrSeedNonEmpty
	}
	if err := s.admitBatchLocked(writes); err != nil {
		return err
	}
	at := s.now()
	if err := s.core.seed(at, writes); err != nil {
		return err
	}
	s.settleLocked(at)
	return nil
}
