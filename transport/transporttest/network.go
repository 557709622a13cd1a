package transporttest

import (
	"sync"
	"time"

	"github.com/podshare/podshare/transport"
)

// Network connects the pods of a test, and breaks the connections on demand.
//
// Without faults it is instant and exact: a frame is in the queues of its subscribers when Publish returns, in
// the order of publication. Everything else has to be asked for: see [Faults] for links between pods,
// [PodFaults] for single pods, [StoreFaults] for the snapshot store that all pods share, and the Cut methods
// for partitions. Whatever happened is counted in [Network.Stats].
//
// What is random comes from the seed. Each link, each pod and the store have a sequence of their own, and
// draw equally often for every call whichever faults are on. Hence a test whose calls on each of them come
// in a fixed order repeats exactly, and switching one fault off leaves the others where they were.
//
// All methods are safe for concurrent use. Delays are timers; the Network runs no goroutine that outlives
// [Network.Close]. Inside a testing/synctest bubble, create it there.
type Network struct {
	seed        uint64
	queueFrames int
	echo        bool

	// mu guards all below, the links and pods reached from here, and the delivery of frames, which never
	// waits. Nobody waits for anything while holding it.
	mu       sync.Mutex
	closed   bool
	pods     map[string]*pod
	podOrder []*pod // as created, so that frames fan out in a fixed order
	links    map[route]*link
	faults   Faults
	cuts     []cut
	schedule schedule
	timer    *time.Timer // runs deliverDue; nil before the first delayed frame
	store    snapshotStore
	stats    Stats
}

// pod is a name on the network. It outlives its endpoints, as a host outlives its processes.
type pod struct {
	name     string
	endpoint *Endpoint // the newest, perhaps closed
	faults   PodFaults
	rng      rng
}

// NetworkOption configures a [Network].
type NetworkOption interface{ applyNetwork(n *Network) }

type networkOption func(n *Network)

func (o networkOption) applyNetwork(n *Network) { o(n) }

// WithFaults sets the faults of all links from the start, as [Network.SetFaults] does later.
func WithFaults(f Faults) NetworkOption {
	f.mustBeValid()
	return networkOption(func(n *Network) { n.faults = f })
}

// WithQueue sets how many frames wait for a subscriber that is not reading; further ones are lost for it, and
// counted as Overflowed. The default, also for zero and below, is that of [transport.WithMemoryQueue].
func WithQueue(frames int) NetworkOption {
	return networkOption(func(n *Network) { n.queueFrames = frames })
}

// WithEcho makes pods receive their own frames too, at once and without faults, as most brokers do. By
// default they do not.
func WithEcho() NetworkOption {
	return networkOption(func(n *Network) { n.echo = true })
}

// NewNetwork returns a network without pods.
func NewNetwork(seed uint64, opts ...NetworkOption) *Network {
	n := &Network{
		seed:  seed,
		pods:  map[string]*pod{},
		links: map[route]*link{},
		store: newSnapshotStore(newRNG(seed, "store")),
	}
	for _, opt := range opts {
		opt.applyNetwork(n)
	}
	return n
}

// Pod returns the endpoint of a pod: the open one, else a new one, as after a restart. Frames still under way
// to a pod reach whatever endpoint it has when they arrive. After [Network.Close] the endpoint is closed.
func (n *Network) Pod(name string) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.podLocked(name)
	if p.endpoint == nil || p.endpoint.closed {
		p.endpoint = &Endpoint{
			net:  n,
			pod:  p,
			done: make(chan struct{}),
			hub:  transport.NewMemoryTransport(transport.WithMemoryQueue(n.queueFrames)),
		}
		if n.closed {
			n.closeEndpointLocked(p.endpoint)
		}
	}
	return p.endpoint
}

// Close closes all endpoints and loses the frames that are under way. Further calls do nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.stats.Missed += uint64(len(n.schedule))
	n.schedule = nil
	if n.timer != nil {
		n.timer.Stop()
	}
	for _, p := range n.podOrder {
		if p.endpoint != nil {
			n.closeEndpointLocked(p.endpoint)
		}
	}
	return nil
}

// podLocked returns the pod of a name, creating it at its first mention.
func (n *Network) podLocked(name string) *pod {
	p := n.pods[name]
	if p == nil {
		p = &pod{name: name, rng: newRNG(n.seed, "pod", name)}
		n.pods[name] = p
		n.podOrder = append(n.podOrder, p)
	}
	return p
}

// closeEndpointLocked closes an endpoint, once.
func (n *Network) closeEndpointLocked(e *Endpoint) {
	if e.closed {
		return
	}
	e.closed = true
	close(e.done)
	_ = e.hub.Close() // never fails
	n.stats.Overflowed += e.hub.Dropped()
}
