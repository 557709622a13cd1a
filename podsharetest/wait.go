package podsharetest

import (
	"testing/synctest"
	"time"
)

const (
	fakePatience = 30 * time.Second
	realPatience = 10 * time.Second
	pollEvery    = 10 * time.Millisecond
)

func choosePatience(asked time.Duration, fake bool) time.Duration {
	switch {
	case asked > 0:
		return asked
	case fake:
		return fakePatience
	default:
		return realPatience
	}
}

// Advance lets fake time pass, and everything happen that is due in it. Outside of a synctest bubble it fails the
// test: real time is not to be slept through but waited in, with WaitFor.
func (c *Cluster[T]) Advance(d time.Duration) {
	c.tb.Helper()
	if !c.fake {
		c.tb.Fatalf("podsharetest: Advance(%v) needs fake time: run the test inside synctest.Test, or use WaitFor", d)
	}
	c.sleep(d)
}

// WaitFor returns as soon as ok does, and fails the test if that takes too long (see [WithPatience]); what says what
// was waited for. ok is called on this goroutine, about every 10 ms, in a bubble when everything is at rest.
func (c *Cluster[T]) WaitFor(what string, ok func() bool) {
	c.tb.Helper()
	c.waitFor(what, ok, c.describe)
}

// waitFor is WaitFor with a report for the failure.
func (c *Cluster[T]) waitFor(what string, ok func() bool, report func() string) {
	c.tb.Helper()
	deadline := time.Now().Add(c.patience)
	for c.sleep(0); !ok(); c.sleep(pollEvery) {
		if !time.Now().Before(deadline) {
			c.tb.Fatalf("podsharetest: waited %s in vain: %s\n%s", c.waited(), what, report())
		}
	}
}

// waited says how long the cluster waits, and in which time.
func (c *Cluster[T]) waited() string {
	if c.fake {
		return c.patience.String() + " of fake time"
	}
	return c.patience.String()
}

// sleep lets time pass, in a bubble until everything that is due has happened.
func (c *Cluster[T]) sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // how fake time passes, and a poll outside of it
	if c.fake {
		synctest.Wait()
	}
}

// inBubble reports whether this goroutine is in a synctest bubble. No function says so, but Wait panics elsewhere; in
// a bubble it does no harm.
func inBubble() (in bool) {
	defer func() { in = recover() == nil }()
	synctest.Wait()
	return true
}
