package podshare

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

func openNowhere(t *testing.T, opts ...Option[int]) *Store[int] {
	t.Helper()
	s, err := New(t.Context(), "topic", nowhere{}, opts...)
	require.NoError(t, err)
	return s
}

// collected runs the garbage collector until done, or fails after many times.
func collected(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 200 {
		if runtime.GC(); done() {
			return
		}
		time.Sleep(time.Millisecond) // cleanups run beside
	}
	t.Fatal("not collected: ", what)
}

func (s *Store[T]) followed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.core.followers)
}

// A Ref that is not used any more costs nothing.
func TestDroppedRefsAreForgotten(t *testing.T) {
	s := openNowhere(t)
	defer s.Close()
	require.NoError(t, s.Set(t.Context(), "k1", 1))
	for i := range 1_000 {
		s.Ref(fmt.Sprint("k", i))
	}
	kept := s.Ref("k1")
	collected(t, "999 Refs", func() bool { return s.followed() == 1 })
	require.Same(t, kept, s.Ref("k1"))
	require.NoError(t, s.Set(t.Context(), "k1", 2))
	got, _ := kept.Get()
	require.Equal(t, 2, got)
	runtime.KeepAlive(kept)
}

// A waiter of WaitFor and a Ref share a follower; it goes when both are gone.
func TestFollowersOfWaitersAreForgotten(t *testing.T) {
	s := openNowhere(t)
	defer s.Close()
	ref := s.Ref("k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := Version{Timestamp: time.Now().Add(time.Hour)}
	require.Error(t, s.WaitFor(ctx, "k", never))
	ended := make(chan error, 2)
	ctx, cancel = context.WithCancel(t.Context())
	for _, key := range []string{"k", "l"} {
		go func() { ended <- s.WaitFor(ctx, key, never) }()
	}
	for s.followed() < 2 {
		runtime.Gosched()
	}
	require.NoError(t, s.Set(t.Context(), "k", 1))
	got, _ := ref.Get()
	require.Equal(t, 1, got)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, 1, s.followed(), "the Ref is in use")
	runtime.KeepAlive(ref)
	collected(t, "the last follower", func() bool { return s.followed() == 0 })
}

// A closed store is collected although Refs of it were made, and whoever it calls back holds one.
func TestClosedStoreWithRefsIsCollected(t *testing.T) {
	open := func() weak.Pointer[Store[int]] {
		var app struct{ ref *Ref[int] }
		s := openNowhere(t, WithErrorHandler[int](func(error) { app.ref.Get() }))
		app.ref = s.Ref("k")
		require.NoError(t, s.Close())
		return weak.Make(s)
	}
	s := open()
	collected(t, "the store", func() bool { return s.Value() == nil })
}

// A Ref keeps its store, for it goes on reading there.
func TestRefKeepsItsStore(t *testing.T) {
	open := func() *Ref[int] {
		s := openNowhere(t)
		require.NoError(t, s.SetTTL(t.Context(), "k", 1, time.Hour))
		require.NoError(t, s.Close())
		return s.Ref("k")
	}
	ref := open()
	for range 3 {
		runtime.GC()
	}
	got, exists := ref.Get()
	require.True(t, exists)
	require.Equal(t, 1, got)
}

// However a loop ends, its view does.
func TestNoLoopLeavesAViewOpen(t *testing.T) {
	s := openNowhere(t)
	defer s.Close()
	for i := range 100 {
		require.NoError(t, s.Set(t.Context(), fmt.Sprint(i), i))
	}
	for name, loop := range map[string]func(){
		"to the end": func() {
			for range s.All() {
			}
		},
		"break": func() {
			for range s.All() {
				break
			}
		},
		"nothing matches": func() {
			for range s.Prefix("none") {
			}
		},
		"nested": func() {
			for range s.All() {
				for range s.Prefix("1") {
					break
				}
			}
		},
		"panic": func() {
			defer func() { _ = recover() }()
			for range s.All() {
				panic("in the loop")
			}
		},
		"goexit": func() {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for range s.All() {
					runtime.Goexit()
				}
			}()
			<-ended
		},
		"writes": func() {
			for key := range s.All() {
				require.NoError(t, s.Set(t.Context(), key, -1))
			}
		},
		"Keys and Snapshot": func() { s.Keys(); s.Snapshot() },
	} {
		loop()
		require.NoError(t, s.Set(t.Context(), "a write forgets views that have ended", 0))
		require.Zero(t, reflect.ValueOf(s.index).Elem().FieldByName("views").Len(), name)
	}
}

// A Ref of a deleted key does not keep the tombstone.
func TestRefForgetsTheTombstoneOfItsKey(t *testing.T) {
	s := openNowhere(t, WithTombstoneTTL[int](time.Nanosecond), WithGCInterval[int](0))
	defer s.Close()
	ref := s.Ref("k")
	require.NoError(t, s.Set(t.Context(), "k", 1))
	require.NoError(t, s.Delete(t.Context(), "k"))
	for s.Stats().Tombstones > 0 {
		require.NoError(t, s.Set(t.Context(), "other", 1)) // each write collects
	}
	require.Nil(t, ref.entry.Load())
	require.NoError(t, s.Set(t.Context(), "k", 2))
	got, _ := ref.Get()
	require.Equal(t, 2, got)
}
