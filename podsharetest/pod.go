package podsharetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// pod is a name in the cluster. It outlives its runs.
type pod[T any] struct {
	name   string
	ahead  atomic.Int64 // ns that its clock is ahead
	errors errorLog

	// Cluster.mu guards the rest.
	options []podshare.Option[T] // of this pod, added to those of all
	run     *run[T]              // the latest; nil until the first has started
	up      bool                 // it is running
	faults  transporttest.PodFaults
	cut     bool // from the snapshot store
}

// run is one life of a pod.
type run[T any] struct {
	store  *podshare.Store[T]
	killed atomic.Bool // from now on its store reports only what comes of killing it
}

// Add starts one more pod and returns its store. The pod has the next number, and opts in addition to the options
// of all. Add does not wait until the others have noticed.
func (c *Cluster[T]) Add(opts ...podshare.Option[T]) *podshare.Store[T] {
	c.tb.Helper()
	c.mu.Lock()
	p := &pod[T]{name: podName(len(c.pods)), options: opts}
	c.mu.Unlock()
	p.errors.name, p.errors.tb, p.errors.panicsAllowed = p.name, c.tb, c.panicsAllowed
	r := c.start(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.run, p.up = r, true
	c.pods = append(c.pods, p)
	return r.store
}

// Kill ends pod i as a crash does: no goodbye, nothing sent that was still waiting, no last snapshot. The others
// hear nothing from now on; frames that are under way still arrive. Whoever goes on using the pod's store finds it
// closed. A pod that is not running is left alone.
func (c *Cluster[T]) Kill(i int) {
	c.tb.Helper()
	p := c.pod(i)
	if r := c.down(p); r != nil {
		r.killed.Store(true)
		_ = c.net.Pod(p.name).Close() // first, so that the store cannot say goodbye
		_ = r.store.Close()           // fails, as it can neither send nor save
	}
}

// Stop ends pod i as a deployment does: its store is closed, and says goodbye. An error of Close is added to
// [Cluster.Errors]. A pod that is not running is left alone.
func (c *Cluster[T]) Stop(i int) {
	c.tb.Helper()
	p := c.pod(i)
	if r := c.down(p); r != nil {
		if err := r.store.Close(); err != nil {
			p.errors.add(err)
		}
		r.killed.Store(true)
		_ = c.net.Pod(p.name).Close() // never fails
	}
}

// Restart starts pod i again, after Kill or Stop, and returns its new store. It has its old name, clock and
// options, and opts in addition, from now on. It starts from the stored snapshot, and fails the test if it cannot
// read that, as when it is cut off. Restart does not wait until the pod has caught up.
func (c *Cluster[T]) Restart(i int, opts ...podshare.Option[T]) *podshare.Store[T] {
	c.tb.Helper()
	p := c.pod(i)
	c.mu.Lock()
	up := p.up
	p.options = slices.Concat(p.options, opts)
	c.mu.Unlock()
	if up {
		c.tb.Fatalf("podsharetest: %s is running: Kill or Stop it before Restart", p.name)
	}
	r := c.start(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.run, p.up = r, true
	return r.store
}

// SkewClock sets the time of day of pod i ahead of that of the test, by a negative d behind it; zero sets it right. It
// moves no timers, and stays through restarts and Calm. A store whose clock is off by more than a minute (see
// [podshare.WithMaxClockSkew]) is overruled by the median of the pods that it hears.
func (c *Cluster[T]) SkewClock(i int, d time.Duration) {
	c.tb.Helper()
	c.pod(i).ahead.Store(int64(d))
}

// start begins a run of a pod that is down.
func (c *Cluster[T]) start(p *pod[T]) *run[T] {
	c.tb.Helper()
	r := new(run[T])
	endpoint := c.net.Pod(p.name)
	store, err := podshare.New(c.tb.Context(), topic, endpoint, slices.Concat(c.options, p.options, []podshare.Option[T]{
		podshare.WithNodeID[T](p.name),
		podshare.WithClock[T](func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }),
		podshare.WithErrorHandler[T](func(err error) {
			if !r.killed.Load() || errors.Is(err, podshare.ErrPanic) {
				p.errors.add(err)
			}
		}),
	})...)
	if err != nil {
		_ = endpoint.Close() // never fails
		c.tb.Fatalf("podsharetest: %s does not start: %v", p.name, err)
	}
	r.store = store
	return r
}

// down notes that a pod ends, and returns the run to end, nil if it was down.
func (c *Cluster[T]) down(p *pod[T]) *run[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.up {
		return nil
	}
	p.up = false
	return p.run
}
