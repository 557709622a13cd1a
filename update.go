package podshare

import (
	"context"
	"errors"
)

// Update changes a value by what it was: fn gets the value of the key, and whether there is one, and returns the new one,
// and whether to write it. No write of this store comes between the two; other pods' may, as with Set, and of
// concurrent ones the newest remains. A deadline, and being owned, are kept; a new key gets what Set would give it.
//
// fn must not change old, which readers share. It is called without a lock and may use the Store. If the key changed
// meanwhile, by fn itself too, it is called again with what there is then, so it should do nothing but compute. Each
// further call means that another write of the key was made; where they are always faster than fn, ctx ends the trying.
// If fn panics nothing is written, and the panic is returned as an error that wraps [ErrPanic].
//
// With a Merger what fn returns is joined with what this store wrote before, as by Set, and it is the lifetime of that
// which is kept; of a key to which only others have written, what lasts longest of theirs.
//
// Errors are those of [Store.Set]; when fn asks for no write there is none.
func (s *Store[T]) Update(ctx context.Context, key string, fn func(old T, exists bool) (value T, write bool)) error {
	if err := s.checkUpdate(ctx, key); err != nil {
		return err
	}
	for {
		was := visible(s.index.Get(key))
		var old T
		exists := false
		if was != nil {
			old, exists = s.read(was)
		}
		value, write, err := callUpdate(fn, old, exists)
		if err != nil {
			return &KeyError{Key: key, Err: err}
		}
		if !write {
			return nil
		}
		encoded, err := s.encode(ctx, key, value)
		if err != nil {
			return err
		}
		l := localWrite[T]{key: key, value: value, encoded: encoded}
		s.mu.Lock()
		e := s.index.Get(key)
		if e != was || e != nil && s.serves(e) != exists {
			s.mu.Unlock()
			continue
		}
		s.inheritLocked(&l, e, exists)
		return s.applyLocked(ctx, &l)
	}
}

func (s *Store[T]) checkUpdate(ctx context.Context, key string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.cfg.limits.checkKey(len(key))
}

func callUpdate[T any](fn func(T, bool) (T, bool), old T, exists bool) (value T, write bool, err error) {
	defer recovered(&err)
	value, write = fn(old, exists)
	return value, write, nil
}

// TrySet stores a value if the key is still at version prev, as [Store.Version] gave it; of many callers on
// this store with one prev exactly one wins. Any prev with Exists false means "only if the key is absent".
// It reports whether it won. On other stores a concurrent write may win later, as with Set: this is no lock
// across pods. A deadline, and being owned, are kept. With a Merger a version may stay while the value changes, so
// TrySet guards less there. Errors are those of [Store.Set]; with ErrBroadcast the result is valid.
func (s *Store[T]) TrySet(ctx context.Context, key string, value T, prev Version) (bool, error) {
	encoded, err := s.encode(ctx, key, value)
	if err != nil {
		return false, err
	}
	l := localWrite[T]{key: key, value: value, encoded: encoded}
	s.mu.Lock()
	e := s.index.Get(key)
	now := s.versionLocked(e)
	if !now.same(&prev) {
		return s.lostLocked()
	}
	s.inheritLocked(&l, e, now.Exists)
	return wrote(s.applyLocked(ctx, &l))
}

// TryDelete removes a key if it is still at version prev, as [Store.Version] gave it; of many callers on this store with
// one prev exactly one wins. It reports whether it won; with a prev of which Exists is false nobody does. With a Merger
// it guards less, as TrySet does. Errors are those of [Store.Set]; with ErrBroadcast the result is valid.
func (s *Store[T]) TryDelete(ctx context.Context, key string, prev Version) (bool, error) {
	if err := s.checkUpdate(ctx, key); err != nil {
		return false, err
	}
	s.mu.Lock()
	e := s.index.Get(key)
	if s.closing || !prev.Exists || !s.versionLocked(e).same(&prev) {
		return s.lostLocked()
	}
	return wrote(s.applyLocked(ctx, &localWrite[T]{key: key, flags: flagDeleted}))
}

// lostLocked is the result of a try that did not win. It unlocks mu.
func (s *Store[T]) lostLocked() (bool, error) {
	defer s.mu.Unlock()
	if s.closing {
		return false, ErrClosed
	}
	return false, nil
}

// same reports whether v is the version that a caller saw.
func (v Version) same(prev *Version) bool {
	if !v.Exists || !prev.Exists {
		return v.Exists == prev.Exists
	}
	return v.Timestamp.Equal(prev.Timestamp) && v.Origin == prev.Origin && v.Seq == prev.Seq
}

// wrote turns the error of a write into whether the write was made, and the error.
func wrote(err error) (bool, error) { return err == nil || errors.Is(err, ErrBroadcast), err }
