package podsharetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

const topic = "podsharetest"

// Cluster is a number of pods, each with one store of the same topic, on a network with faults on demand. It ends
// with its test.
//
// Methods may be used by several goroutines at once, but for those that start or end pods and those that wait: of
// these, one at a time. Methods fail the test if they are used wrongly, and therefore belong on its goroutine.
type Cluster[T any] struct {
	tb            testing.TB
	net           *transporttest.Network
	options       []podshare.Option[T] // of all stores
	seed          uint64
	rng           *rand.Rand
	fake          bool // time is
	patience      time.Duration
	panicsAllowed bool

	mu   sync.Mutex // guards pods, and the pods as far as they say so; held for moments only
	pods []*pod[T]
}

// NewCluster starts n pods, at least one, and returns when they have found each other.
func NewCluster[T any](tb testing.TB, n int, opts ...Option) *Cluster[T] {
	tb.Helper()
	var cfg config
	for _, o := range opts {
		o.apply(&cfg)
	}
	if n < 1 || cfg.patience < 0 {
		tb.Fatalf("podsharetest: a cluster of %d pods with a patience of %v cannot be", n, cfg.patience)
	}
	seed := chooseSeed(tb, cfg.seed)
	c := &Cluster[T]{
		tb:            tb,
		net:           transporttest.NewNetwork(seed, cfg.network...),
		options:       storeOptions[T](tb, cfg.stores),
		seed:          seed,
		rng:           rand.New(rand.NewPCG(seed, 0)),
		fake:          inBubble(),
		panicsAllowed: cfg.panicsAllowed,
	}
	c.patience = choosePatience(cfg.patience, c.fake)
	tb.Cleanup(c.end)
	for range n {
		c.Add()
	}
	c.waitFor("the pods of a new cluster find each other", c.synced, c.describe)
	return c
}

// storeOptions gives the options of stores their type back.
func storeOptions[T any](tb testing.TB, given []any) []podshare.Option[T] {
	tb.Helper()
	var all []podshare.Option[T]
	for _, some := range given {
		opts, ok := some.([]podshare.Option[T])
		if !ok {
			tb.Fatalf("podsharetest: WithStoreOptions was given %T, a cluster needs %T", some, all)
		}
		all = append(all, opts...)
	}
	return all
}

// end kills all pods, so that nothing of them is left, whatever faults the test has left behind.
func (c *Cluster[T]) end() {
	c.sleep(0) // what is being reported is heard
	pods := c.all()
	for i := range pods {
		c.Kill(i)
	}
	_ = c.net.Close() // never fails
	for _, p := range pods {
		p.errors.end()
	}
	if c.tb.Failed() {
		c.tb.Logf("podsharetest: the seed was %d; to use it again: %[2]s=%[1]d", c.seed, seedVariable)
	}
}

// Len returns the number of pods, running or not.
func (c *Cluster[T]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pods)
}

// Name returns the name of pod i, "pod-0" for the first. It is the node ID of the pod's stores, and its name on
// the [Cluster.Network].
func (c *Cluster[T]) Name(i int) string {
	c.tb.Helper()
	return c.pod(i).name
}

// Store returns the store of pod i: of its latest run, if it is not running. Such a store is closed.
func (c *Cluster[T]) Store(i int) *podshare.Store[T] {
	c.tb.Helper()
	p := c.pod(i)
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.run.store
}

// Stores returns the stores of the pods that are running, in order of their numbers.
func (c *Cluster[T]) Stores() []*podshare.Store[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	var stores []*podshare.Store[T]
	for _, p := range c.pods {
		if p.up {
			stores = append(stores, p.run.store)
		}
	}
	return stores
}

// Network returns the network, for what the cluster has no method for. A program that makes its own store can be
// one more pod on it, under a name of its own and with the topic of the others:
//
//	podshare.New[bool](ctx, c.Store(0).Topic(), c.Network().Pod("mine"))
//
// Such a pod is the test's to close, and WaitConverged does not know it.
func (c *Cluster[T]) Network() *transporttest.Network { return c.net }

// Seed returns the seed of this cluster; see [WithSeed].
func (c *Cluster[T]) Seed() uint64 { return c.seed }

// Rand returns a source of random numbers that follows from the seed, for the choices of the test: what to write,
// whom to kill. It is for one goroutine at a time.
func (c *Cluster[T]) Rand() *rand.Rand { return c.rng }

// pod returns pod i, or fails the test if there is none.
func (c *Cluster[T]) pod(i int) *pod[T] {
	c.tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i < 0 || i >= len(c.pods) {
		c.tb.Fatalf("podsharetest: there is no pod %d, the cluster has %d", i, len(c.pods))
	}
	return c.pods[i]
}

// all returns the pods that the cluster has now.
func (c *Cluster[T]) all() []*pod[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pods)
}

// podName is the name of pod i.
func podName(i int) string { return fmt.Sprint("pod-", i) }
