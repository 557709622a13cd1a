package transport

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podshare/podshare"
)

// P2PTransport connects the stores of pods by TCP, each pod with each other, without any server. [NewP2PTransport] makes
// one; docs/p2p.md says how to run it.
//
// A frame goes to those peers that subscribe to its topic, and never back to who published it. A peer that is slow, dead
// or cut off costs the others nothing: what waits for it is bounded, the rest is dropped, and stores repair it. A
// topic can have one subscription at a time. Snapshots are kept in memory, where peers can fetch them; stores do not use
// that ([podshare.Mesh]). With [WithSnapshotFile] they survive a restart of the whole fleet.
//
// All methods are safe for concurrent use.
type P2PTransport struct {
	options  P2POptions
	security p2pSecurity
	id       p2pID
	listener net.Listener // nil: nobody can connect

	handshakes chan struct{} // a token for each that is being made by a dial

	changed chan struct{}    // one token: peers have come or gone
	told    map[p2pID]p2pWho // see tell

	routes     p2pRoutes
	deliveries p2pDeliveries
	snapshots  p2pSnapshots

	dropped, refused atomic.Uint64

	began     time.Time
	published atomic.Int64 // when Publish returned last

	running sync.WaitGroup  // goroutines and subscriptions
	close   func() error    // does it once
	ctx     context.Context //nolint:containedctx // the transport's life: it ends dials and handshakes
	cancel  context.CancelFunc

	// mu guards all below. It is never held while waiting.
	mu            sync.Mutex
	closed        bool
	conns         map[*p2pConn]bool // after the handshake
	peers         map[p2pID]*p2pPeer
	dials         map[string]*p2pDial // by address
	arrivals      p2pArrivals
	subscriptions map[string]*p2pSubscription // by topic
	topicBytes    int                         // of all subscriptions
	lastID        uint64                      // of a subscription
	lastUse       uint64                      // number of a connection that this side decided on
	listeners     []*p2pListener
	discoveries   []<-chan struct{} // each is closed when it has said first who is there
}

var (
	_ podshare.Transport          = (*P2PTransport)(nil)
	_ podshare.ConnectionNotifier = (*P2PTransport)(nil)
	_ podshare.Mesh               = (*P2PTransport)(nil)
)

// NewP2PTransport returns a transport that listens and has begun to connect to its peers; it does not wait for them. It
// fails if the options are wrong, or if it cannot listen.
func NewP2PTransport(opts P2POptions) (*P2PTransport, error) {
	opts, err := opts.normalized()
	if err != nil {
		return nil, err
	}
	t := &P2PTransport{
		options:       opts,
		began:         time.Now(),
		routes:        p2pRoutes{topics: map[string][]p2pRoute{}},
		deliveries:    p2pDeliveries{byID: map[uint64]*p2pSubscription{}},
		conns:         map[*p2pConn]bool{},
		peers:         map[p2pID]*p2pPeer{},
		dials:         map[string]*p2pDial{},
		subscriptions: map[string]*p2pSubscription{},
		handshakes:    make(chan struct{}, p2pHandshakesMost),
		changed:       make(chan struct{}, 1),
		told:          map[p2pID]p2pWho{},
	}
	_, _ = rand.Read(t.id[:]) // never fails
	t.snapshots.init()
	t.close = sync.OnceValue(t.closeOnce)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if t.security, err = newP2PSecurity(&opts); err != nil {
		return nil, err
	}
	if opts.Listen != "" {
		if t.listener, err = (&net.ListenConfig{KeepAlive: -1}).Listen(t.ctx, "tcp", opts.Listen); err != nil {
			return nil, fmt.Errorf("p2p: %w", err)
		}
		t.running.Go(t.accept)
	}
	if t.security.server == nil {
		opts.Logger.Warn("podshare: the connections of this P2P transport are plaintext, and anybody who reaches it can read and write; set P2POptions.Secret or TLSConfig",
			"listen", t.Addr())
	}
	t.running.Go(t.runTell)
	for _, addr := range opts.Peers {
		t.AddPeer(addr)
	}
	return t, nil
}

// Addr returns the address that the transport listens at, with the port that the system chose if that was 0; "" if it
// does not listen.
func (t *P2PTransport) Addr() string {
	if t.listener == nil {
		return ""
	}
	return t.listener.Addr().String()
}

// greeting is what the transport says of itself.
func (t *P2PTransport) greeting() p2pGreeting {
	g := p2pGreeting{
		oldest: p2pVersionOldest, newest: p2pVersionNewest, id: t.id, keepAlive: t.options.KeepAlivePeriod,
		maxFrame: uint64(t.options.MaxFrameBytes), node: t.options.Node, advertise: t.options.Advertise,
	}
	if g.advertise == "" {
		g.advertise = t.Addr()
	}
	return g
}

// Publish sends msg to the peers that subscribe to topic. That there are none is no error. It never waits for the network:
// what a peer does not take in time is dropped and counted. So it does not look at ctx: a frame of a writer that
// gives up just now is sent, since nothing else would keep it. It returns [ErrClosed], [ErrEmptyTopic] or [ErrFrameTooLarge].
func (t *P2PTransport) Publish(_ context.Context, topic string, msg []byte) error {
	if err := t.usable(topic); err != nil {
		return err
	}
	if len(msg) > t.options.MaxFrameBytes {
		return fmt.Errorf("p2p: topic %q: %w: %d bytes, at most %d are", topic, ErrFrameTooLarge, len(msg), t.options.MaxFrameBytes)
	}
	routes := t.routes.to(topic)
	if len(routes) == 0 {
		return nil
	}
	alone := t.now()-t.published.Load() > int64(p2pBurst)
	for i, route := range routes {
		t.send(topic, route, msg, alone && i < p2pInlinePeers)
	}
	t.published.Store(t.now())
	return nil
}

// now is in ns, monotonic.
func (t *P2PTransport) now() int64 { return int64(time.Since(t.began)) }

func (t *P2PTransport) send(topic string, route p2pRoute, msg []byte, inline bool) {
	s := route.peer.sender.Load()
	if uint64(len(msg)) > s.mostFrame {
		s.dropped.Add(1)
		if s.tooLarge.CompareAndSwap(false, true) {
			t.report(fmt.Errorf("topic %q: %w: %d bytes, a peer takes %d", topic, ErrFrameTooLarge, len(msg), s.mostFrame))
		}
		return
	}
	if s.publish(route.id, msg, inline) == lostFirst {
		t.report(fmt.Errorf("topic %q: what waits for a peer: %w", topic, ErrQueueFull))
	}
}

// Close tells the peers, ends every subscription and connection, and waits for the goroutines: up to a second for what
// still waits to be sent. Further calls do nothing.
func (t *P2PTransport) Close() error { return t.close() }

// p2pClosePatience is for how long Close lets peers take what waits for them.
const p2pClosePatience = time.Second

func (t *P2PTransport) closeOnce() error {
	t.mu.Lock()
	t.closed = true
	conns := slices.Collect(maps.Keys(t.conns))
	subscriptions := slices.Collect(maps.Values(t.subscriptions))
	t.mu.Unlock()
	for _, s := range subscriptions {
		s.end()
	}
	t.cancel() // dials, handshakes
	if t.listener != nil {
		_ = t.listener.Close()
	}
	for _, c := range conns {
		c.end(p2pClosing)
	}
	timer := time.NewTimer(p2pClosePatience)
	defer timer.Stop()
	for _, c := range conns {
		select {
		case <-c.failed:
		case <-timer.C:
			timer.Reset(0) // for the others, too
			c.fail(nil)
		}
	}
	t.running.Wait()
	t.tell()
	return nil
}

// check is what methods refuse: closed, before anything else.
func (t *P2PTransport) check(ctx context.Context, topic string) error {
	if err := t.usable(topic); err != nil {
		return err
	}
	return ctx.Err()
}

func (t *P2PTransport) usable(topic string) error {
	switch {
	case t.isClosed():
		return ErrClosed
	case topic == "":
		return ErrEmptyTopic
	default:
		return nil
	}
}

func (t *P2PTransport) isClosed() bool { return t.ctx.Err() != nil }

// report calls the error handler; the caller holds no lock.
func (t *P2PTransport) report(err error) {
	if t.options.OnError == nil {
		return
	}
	defer func() { _ = recover() }() // there is nobody left to tell
	t.options.OnError(fmt.Errorf("p2p: %w", err))
}

// Alone implements [podshare.Mesh]: the discoveries of [SyncPeers] have said who is there, at each address of Peers there is
// a connected peer, the pod itself or nothing that listens, and no connected peer subscribes to the topic.
func (t *P2PTransport) Alone(topic string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		if !p.listed {
			return false
		}
	}
	for _, d := range t.dials {
		if !d.absent && t.connectedToLocked(d.addr) == nil {
			return false // not tried yet, or it may come back
		}
	}
	return !t.closed && len(t.discoveries) == 0 && len(t.routes.to(topic)) == 0
}

// awaitDiscovery has FetchSnapshot and Alone wait for a discovery, until found is called.
func (t *P2PTransport) awaitDiscovery() (found func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := make(chan struct{})
	t.discoveries = append(t.discoveries, first)
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(first)
		t.discoveries = slices.DeleteFunc(t.discoveries, func(c <-chan struct{}) bool { return c == first })
	})
}

// unsettled returns channels that are closed as soon as it is known who is there. The caller holds mu.
func (t *P2PTransport) unsettled() []<-chan struct{} {
	settled := slices.Clone(t.discoveries)
	for _, d := range t.dials {
		settled = append(settled, d.settled)
	}
	return settled
}

// Peers returns the addresses that the transport connects to, sorted: those of [P2POptions] and AddPeer without those of
// RemovePeer. Who has connected to it is in [P2PTransport.Stats].
func (t *P2PTransport) Peers() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.dials))
}
