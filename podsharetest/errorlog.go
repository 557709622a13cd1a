package podsharetest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/podshare/podshare"
)

// Errors returns what the stores of pod i have reported so far, over all its runs and oldest first: the errors that
// go to [podshare.WithErrorHandler] because no caller waits for them, and those of Stop. Stores report a moment
// after the fact; wait with [Cluster.WaitFor] for an error that must come.
func (c *Cluster[T]) Errors(i int) []error {
	c.tb.Helper()
	l := &c.pod(i).errors
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.errs)
}

// errorLog remembers what a pod reported.
type errorLog struct {
	name          string // of the pod
	tb            testing.TB
	panicsAllowed bool

	mu    sync.Mutex // guards the rest
	errs  []error
	ended bool // tb must not be used any more
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.errs = append(l.errs, err)
	if errors.Is(err, podshare.ErrPanic) && !l.panicsAllowed {
		l.tb.Errorf("podsharetest: %s: %v", l.name, err)
	}
}

// end is called when the test ends.
func (l *errorLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}
