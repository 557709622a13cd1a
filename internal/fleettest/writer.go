package fleettest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/podshare/podshare"
)

const (
	// SharedKeys is how many keys all writers write.
	SharedKeys = 8

	// writeTimeout is how long half of the writes are waited for; the others as long as it takes.
	writeTimeout = 100 * time.Millisecond
)

// SharedKey is the n-th of the keys that all writers write.
func SharedKey(n int) string { return fmt.Sprintf("shared/%d", n%SharedKeys) }

// Writer writes into a store all the time. It has keys of its own, of which it deletes every fourth soon after, and
// writes and deletes shared ones.
type Writer struct {
	store *podshare.Store[string]
	run   string
	every time.Duration

	begin, end sync.Once
	finish     chan struct{} // closed by Stop
	ended      chan struct{} // closed when the writing has ended

	mu      sync.Mutex // guards all below
	kept    map[string]string
	deleted map[string]bool
	newest  map[string]Shared
	pending int // accepted with ErrBroadcast
	faults  []string
}

// NewWriter returns a writer that rests for the given time between two steps. Its keys begin with run, which no other
// writer of the fleet may have had: nodes keep their names when they restart.
func NewWriter(store *podshare.Store[string], run string, every time.Duration) *Writer {
	return &Writer{
		store: store, run: run, every: every, finish: make(chan struct{}), ended: make(chan struct{}),
		kept: map[string]string{}, deleted: map[string]bool{}, newest: map[string]Shared{},
	}
}

// Start begins to write. It may be called once, as long as Stop was not.
func (w *Writer) Start() {
	w.begin.Do(func() {
		go func() {
			defer close(w.ended)
			ctx, cancel := context.WithCancel(context.Background()) // one that could end
			defer cancel()
			ticker := time.NewTicker(w.every)
			defer ticker.Stop()
			for n := 0; ; n++ {
				select {
				case <-w.finish:
					return
				case <-ticker.C:
					w.step(ctx, n)
				}
			}
		}()
	})
}

// Stop ends the writing and waits for its end. It may be called again.
func (w *Writer) Stop() {
	w.begin.Do(func() { close(w.ended) })
	w.end.Do(func() { close(w.finish) })
	<-w.ended
}

// Kept returns how many keys of its own the writer has written and not deleted.
func (w *Writer) Kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept)
}

// Pending returns how many writes were accepted though their callers were told that they may not be sent: until repair
// has sent them they are this store's alone.
func (w *Writer) Pending() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pending
}

// Diary returns what the store has accepted until now. Whether the writing has ended is in it.
func (w *Writer) Diary() Diary {
	ended := false
	select {
	case <-w.ended:
		ended = true
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return Diary{
		Node: w.store.NodeID(), Run: w.run, Ended: ended, Kept: maps.Clone(w.kept), Deleted: maps.Clone(w.deleted),
		Newest: maps.Clone(w.newest), Faults: slices.Clone(w.faults),
	}
}

// step writes a key of this writer and a shared one, and deletes some.
func (w *Writer) step(ctx context.Context, n int) {
	if n%2 == 0 {
		within, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		ctx = within
	}
	value := fmt.Sprintf("%s wrote %d", w.run, n)
	w.Set(ctx, fmt.Sprintf("%s/%d", w.run, n), value)
	if n%4 == 3 {
		w.Delete(ctx, fmt.Sprintf("%s/%d", w.run, n-2)) // see passing
	}
	shared := SharedKey(n)
	if n%(3*SharedKeys) < SharedKeys {
		if w.accepted(w.store.Delete(ctx, shared)) {
			w.note(shared, "")
		}
	} else if w.accepted(w.store.Set(ctx, shared, value)) {
		w.note(shared, value)
	}
}

// Set writes a key that no other writer writes.
func (w *Writer) Set(ctx context.Context, key, value string) {
	if w.accepted(w.store.Set(ctx, key, value)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.kept[key] = value
		delete(w.deleted, key)
	}
}

// Delete deletes a key, of this writer or of one that has left it to this one: from the call on nobody may expect it to
// be there.
func (w *Writer) Delete(ctx context.Context, key string) {
	w.mu.Lock()
	value, held := w.kept[key]
	delete(w.kept, key)
	w.mu.Unlock()
	accepted := w.accepted(w.store.Delete(ctx, key))
	w.mu.Lock()
	defer w.mu.Unlock()
	if accepted {
		w.deleted[key] = true
	} else if held {
		w.kept[key] = value
	}
}

// accepted tells whether a write stands here. All others changed nothing: the writing has ended, or it was not waited for.
func (w *Writer) accepted(err error) bool {
	if err == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case errors.Is(err, podshare.ErrBroadcast):
		w.pending++
		return true
	case !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		w.faults = append(w.faults, fmt.Sprintf("%s: %v", w.run, err))
	}
	return false
}

// note remembers what this writer made of a shared key, unless another one has overwritten that already.
func (w *Writer) note(key, value string) {
	if v := w.store.Version(key); v.Origin == w.store.NodeID() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.newest[key] = Shared{v, value}
	}
}
