package transporttest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// recorder is a testing.TB that keeps failures to itself, so that a rule can be seen to fail.
type recorder struct {
	testing.TB

	mu       sync.Mutex // guards all below
	failures []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, fn)
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run calls fn and then the cleanups, last one first. Each may end by Fatalf.
func (r *recorder) run(fn func()) {
	call := func(fn func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	call(fn)
	for _, cleanup := range slices.Backward(r.cleanups) {
		call(cleanup)
	}
}

// failuresOf checks one rule in fake time, which makes all waiting in vain instant, and returns its
// complaints. newPair may be nil.
func failuresOf(
	t *testing.T, r rule, newTransport func(t testing.TB) Transport, newPair func(t testing.TB) (from, to Transport),
) (failures []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{TB: t}
		w := world{TB: rec, patience: defaultPatience}
		w.newTransport = func() Transport { return newTransport(t) }
		if newPair != nil {
			w.newPair = func() (from, to Transport) { return newPair(t) }
		}
		rec.run(func() { r.check(w) })
		failures = rec.failures
	})
	return failures
}
