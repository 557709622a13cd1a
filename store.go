package podshare

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podshare/podshare/internal/cells"
)

// Store is a map that every pod of a topic holds in full. All methods may be used by several goroutines at
// once.
//
// Locks, in the order in which they are taken: mu, then those of views. Nothing waits for a channel, the
// network or a callback (but for the merger) while it holds one.
type Store[T any] struct {
	topic     string // as the user calls it
	channel   string // as the transport does
	transport Transport
	cfg       *config[T]
	start     time.Time // of the monotonic clock

	index *cells.Map[item[T]] // readers go here without a lock
	reads readCounter

	mu        sync.Mutex    // guards the rest up to the next blank line
	core      *replica[T]   // all of the state
	out       outbox        // what waits to be published
	hub       hub[T]        // watchers
	closing   bool          // Close was called: writes are refused
	news      chan struct{} // closed and renewed when who waits for other pods should look again
	newsCount uint64        // changes then too

	attached    chan subscription            // to the run loop, once, if it starts without
	subscribed  atomic.Pointer[subscription] // what there is, once there is one
	base        context.Context              //nolint:containedctx // of what the store asks of the transport
	abort       context.CancelFunc
	publishCtx  publishCtx
	slab        frameSlab // belongs to who set outbox.busy
	boot        uint64
	nextTick    int64         // monotonic ns for which the run loop's timer is set; mu guards it
	complainAt  int64         // monotonic ns from which a bad frame is reported again; the run loop's
	closed      chan struct{} // closed when Close was called
	published   chan struct{} // closed when the publisher has ended
	snapshotted chan struct{} // closed when the snapshotter has ended
	finished    chan struct{} // closed when everything has ended
	closeErr    error         // of the first Close; valid after finished
	wake        chan struct{} // one token: the run loop looks at what is due
	errs        chan error    // to the reporter; never closed
	publishing  chan struct{} // one token: the publisher has something to do
	snapshots   snapshotter[T]
	workers     sync.WaitGroup // goroutines that never run callbacks
	callbacks   callbackGroup  // those that do
	stop        context.CancelFunc
	counts      shellCounters
}

// New starts a store of a topic on a transport, and returns when it holds the stored snapshot; what pods
// wrote since, it learns from them at once. The transport stays the caller's, who closes it after the store.
// ctx bounds the construction only.
//
// An error means that nothing is left behind, and New may be tried again.
func New[T any](ctx context.Context, topic string, t Transport, opts ...Option[T]) (*Store[T], error) {
	switch {
	case t == nil:
		return nil, errors.New("podshare: transport is nil")
	case topic == "":
		return nil, errors.New("podshare: topic is empty")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := newStore(topic, t, cfg)
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	var sub subscription // none yet in the background
	if cfg.background {
		s.deafen()
		s.workers.Go(func() { s.attachLater(run) })
	} else if sub, err = s.attach(ctx, run); err != nil {
		stop()
		return nil, err
	} else {
		s.listen()
	}
	s.workers.Go(func() { s.run(run, sub) })
	s.workers.Go(s.runPublisher)
	s.workers.Go(s.runSnapshotter)
	s.callbacks.start(s.runReporter)
	return s, nil
}

func newStore[T any](topic string, t Transport, cfg *config[T]) *Store[T] {
	now := time.Now()
	s := &Store[T]{
		topic:       topic,
		channel:     topicName(topic),
		transport:   t,
		cfg:         cfg,
		start:       now,
		closed:      make(chan struct{}),
		published:   make(chan struct{}),
		snapshotted: make(chan struct{}),
		finished:    make(chan struct{}),
		news:        make(chan struct{}),
		attached:    make(chan subscription, 1),
		wake:        make(chan struct{}, 1),
		errs:        make(chan error, 256),
		publishing:  make(chan struct{}, 1),
	}
	s.base, s.abort = context.WithCancel(context.Background())
	boot := newBoot(now)
	s.boot = boot
	rc := replicaConfig[T]{
		node:         cfg.nodeID,
		boot:         boot,
		codec:        newCodec[T](cfg.codec, cfg.merger != nil),
		limits:       cfg.limits,
		tombstoneTTL: cfg.tombstoneTTL,
		maxSkew:      cfg.maxClockSkew,
		lease:        cfg.lease,
		heartbeat:    minHeartbeat,
		collectEvery: cfg.gcInterval,
		seed:         boot,
		hashSeed:     maphash.MakeSeed(),
	}
	if rc.maxSkew == 0 {
		rc.maxSkew, rc.quietSkew = defaultMaxClockSkew, true
	}
	if cfg.merger != nil {
		rc.merge = func(existing, incoming T) (v T, err error) {
			defer recovered(&err)
			return cfg.merger(existing, incoming), nil
		}
	}
	s.core = newReplica(rc, s.now())
	s.core.out.changed = s.dispatch
	s.index = s.core.index
	s.initSnapshots(t)
	s.callbacks.init()
	return s
}

// now reads both clocks.
func (s *Store[T]) now() instant {
	t := time.Now()
	at := instant{wall: t.UnixNano(), mono: int64(t.Sub(s.start))}
	if s.cfg.clock != nil {
		at.wall = s.cfg.clock().UnixNano()
	}
	return at
}

// Get returns the value of a key. It waits for nothing and allocates nothing. The value is the stored one,
// shared by all readers: read it only.
func (s *Store[T]) Get(key string) (T, bool) {
	e, hash := s.index.Find(key)
	s.reads.count(hash)
	if e == nil {
		var none T
		return none, false
	}
	if x := e.Val.ext; x != nil && !x.settled() {
		return s.getExt(e)
	}
	return e.Val.value, !e.Val.dead() // a dead entry holds the zero value
}

// getExt is Get for entries of a group that is being applied, with a deadline or an owner.
func (s *Store[T]) getExt(e *entry[T]) (T, bool) {
	if e = visible(e); e == nil {
		var none T
		return none, false
	}
	return s.read(e)
}

// read returns what readers are given of e at this moment.
func (s *Store[T]) read(e *entry[T]) (value T, served bool) {
	if x := e.Val.ext; e.Val.dead() || x == nil || x.lasting() {
		return e.Val.value, !e.Val.dead()
	}
	return s.core.read(s.now(), e)
}

// serves reports whether readers are given e at this moment.
func (s *Store[T]) serves(e *entry[T]) bool {
	_, served := s.read(e)
	return served
}

// Version returns the version of a key; see [Version].
func (s *Store[T]) Version(key string) Version {
	e := visible(s.index.Get(key))
	if e == nil {
		return Version{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versionLocked(e)
}

func (s *Store[T]) versionLocked(e *entry[T]) Version {
	if e == nil {
		return Version{}
	}
	return Version{
		Timestamp: time.Unix(0, e.Val.stamp),
		Origin:    s.core.origins.at(e.Val.origin).node,
		Seq:       e.Val.seq,
		Exists:    s.serves(e),
	}
}

// NodeID returns this store's node ID.
func (s *Store[T]) NodeID() string { return s.cfg.nodeID }

// Topic returns the topic.
func (s *Store[T]) Topic() string { return s.topic }
