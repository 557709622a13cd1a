package podshare

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// publishCtx is the context of the publishes of this moment. It belongs to who set outbox.busy.
type publishCtx struct {
	ctx    context.Context //nolint:containedctx // renewed by publishContext
	cancel context.CancelFunc
	made   int64 // monotonic ns
}

// publishContext is used for the publishes of about a second, since making one costs as much as a publish.
// Only the one who publishes calls it.
func (s *Store[T]) publishContext(at instant) context.Context {
	c := &s.publishCtx
	if c.ctx == nil || at.mono-c.made > int64(publishTimeout/4) {
		if c.cancel != nil {
			c.cancel()
		}
		c.made = at.mono
		c.ctx, c.cancel = context.WithTimeout(s.base, publishTimeout*5/4)
	}
	return c.ctx
}

// eitherCtx is a publish's own context that also ends with the ctx of its caller. To watch two contexts takes a
// third of the time of a Set; so it is not done until the transport asks for what ends with either, which one that
// sends at once has no need of.
type eitherCtx struct {
	own, caller context.Context //nolint:containedctx // it is one itself
	once        sync.Once
	over        atomic.Bool               // the publish has returned
	joined      atomic.Pointer[joinedCtx] // nil until asked for
}

type joinedCtx struct {
	context.Context //nolint:containedctx // a child of own
	cancel          context.CancelFunc
	stop            func() bool // ends the watching of caller
}

func (c *eitherCtx) join() *joinedCtx {
	c.once.Do(func() {
		ctx, cancel := context.WithCancel(c.own)
		if c.caller.Err() != nil {
			cancel() // at once: Err may have said so already
		}
		j := &joinedCtx{ctx, cancel, context.AfterFunc(c.caller, cancel)}
		c.joined.Store(j)
		if c.over.Load() { // release may not have found j
			j.end()
		}
	})
	return c.joined.Load()
}

func (j *joinedCtx) end() {
	j.stop()
	j.cancel()
}

// release ends the watching. The publish has returned.
func (c *eitherCtx) release() {
	c.over.Store(true)
	if j := c.joined.Load(); j != nil {
		j.end()
	}
}

func (c *eitherCtx) Done() <-chan struct{} { return c.join().Done() }

func (c *eitherCtx) Deadline() (time.Time, bool) {
	own, _ := c.own.Deadline() // it always has one
	if d, ok := c.caller.Deadline(); ok && d.Before(own) {
		return d, true
	}
	return own, true
}

// Value asks the joined context first, where package context finds what ends with it.
func (c *eitherCtx) Value(key any) any {
	if v := c.join().Value(key); v != nil {
		return v
	}
	return c.caller.Value(key)
}

// Err agrees with Done: where that was asked for, both change at one moment.
func (c *eitherCtx) Err() error {
	if j := c.joined.Load(); j != nil {
		return j.Err()
	}
	if err := c.own.Err(); err != nil {
		return err
	}
	return c.caller.Err()
}
