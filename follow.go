package podshare

import "weak"

// followers are those who want to know of every step of some keys, seen by readers or not.
type followers[T any] map[string]*follower[T]

// follower is what follows one key: a Ref, and callers of WaitFor. Store.mu guards it.
type follower[T any] struct {
	ref     weak.Pointer[Ref[T]] // the user's; it may be gone
	next    chan struct{}        // closed at the next step; nil while nobody waits
	waiting int
}

// step tells the followers of a key what the index holds now, nil for nothing.
func (fs followers[T]) step(key string, e *entry[T]) {
	f := fs[key]
	if f == nil {
		return
	}
	if ref := f.ref.Value(); ref != nil {
		ref.entry.Store(e)
	}
	if f.next != nil {
		close(f.next)
		f.next = nil
	}
}

// of returns the follower of a key, a new one if there was none.
func (fs followers[T]) of(key string) *follower[T] {
	f := fs[key]
	if f == nil {
		f = &follower[T]{}
		fs[key] = f
	}
	return f
}

// tidy forgets the follower of a key if nobody needs it.
func (fs followers[T]) tidy(key string) {
	if f := fs[key]; f != nil && f.waiting == 0 && f.ref.Value() == nil {
		delete(fs, key)
	}
}
