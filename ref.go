package podshare

import (
	"runtime"
	"sync/atomic"
	"weak"
)

// Ref is a handle to one key for the hottest reads: it saves the lookup. It follows the key through writes, deletes,
// expiry and re-creation, for as long as the store is open. All methods may be used by several goroutines at once.
// A Ref needs no closing: one that is not used any more is garbage, and keeps nothing.
type Ref[T any] struct {
	store *Store[T]
	entry atomic.Pointer[entry[T]] // what the index holds under the key; stored with Store.mu held
}

// Ref returns a handle to a key, whether it is held or not. To make one costs about a Set, to read it a fraction of a Get.
func (s *Store[T]) Ref(key string) *Ref[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.core.followers.of(key)
	if ref := f.ref.Value(); ref != nil {
		return ref
	}
	ref := &Ref[T]{store: s}
	ref.entry.Store(s.index.Get(key))
	f.ref = weak.Make(ref)
	runtime.AddCleanup(ref, forgetRef[T], droppedRef[T]{weak.Make(s), key})
	return ref
}

// droppedRef is what is known of a Ref once it is gone. The runtime holds on to it until then, so it must not lead to
// the Ref: as the Store itself might, by a callback of somebody who has both.
type droppedRef[T any] struct {
	store weak.Pointer[Store[T]]
	key   string
}

func forgetRef[T any](d droppedRef[T]) {
	s := d.store.Value()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.followers.tidy(d.key)
}

// Get is [Store.Get] of the key. It waits for nothing and allocates nothing, and is not counted in Stats.Reads.
func (r *Ref[T]) Get() (T, bool) {
	e := r.entry.Load()
	if e == nil {
		var none T
		return none, false
	}
	if x := e.Val.ext; x != nil && !x.settled() {
		return r.store.getExt(e)
	}
	return e.Val.value, !e.Val.dead()
}
