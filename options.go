package podshare

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// Option sets up a Store. Options are applied in order; of two that set the same, the later one counts.
type Option[T any] interface {
	apply(c *config[T]) error
}

type optionFunc[T any] func(c *config[T]) error

func (f optionFunc[T]) apply(c *config[T]) error { return f(c) }

// config is what the options of a store come to.
type config[T any] struct {
	clock            func() time.Time // nil: time.Now
	codec            Codec
	errorHandler     func(error)
	gcInterval       time.Duration
	logger           *slog.Logger
	maxClockSkew     time.Duration
	merger           func(existing, incoming T) T
	nodeID           string
	snapshotInterval time.Duration
	tombstoneTTL     time.Duration
	ttl              time.Duration // 0: none
	lease            time.Duration
	background       bool // start while the transport is down
	watchBuffer      int
	limits           Limits
}

func newConfig[T any](opts []Option[T]) (*config[T], error) {
	c := &config[T]{
		codec:            JSONCodec{},
		gcInterval:       defaultGCInterval,
		maxClockSkew:     defaultMaxClockSkew,
		snapshotInterval: defaultSnapshotInterval,
		tombstoneTTL:     defaultTombstoneTTL,
		watchBuffer:      defaultWatchBuffer,
		lease:            defaultLease,
		limits:           Limits{}.withDefaults(),
	}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("podshare: option is nil")
		}
		if err := o.apply(c); err != nil {
			return nil, err
		}
	}
	if c.nodeID == "" {
		c.nodeID = uuid.NewString()
	}
	return c, nil
}

// newBoot returns the number of a run: its start time, with random low bits in place of the fraction that
// clocks of one machine may share. So it is unique whatever the clock did.
func newBoot(now time.Time) uint64 {
	return uint64(now.UnixNano())&^0xffffffff | uint64(rand.Uint32()) //nolint:gosec // not a secret
}

// forever is as long as any duration is taken for: sums of longer ones would overflow.
const forever = 10 * 365 * 24 * time.Hour

// maxWatchBuffer bounds the buffer of a watcher, which is allocated with it.
const maxWatchBuffer = 1 << 20

// durationOption checks and sets a duration of which zero means the default.
func durationOption[T any](name string, d, preset time.Duration, set func(*config[T], time.Duration)) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if d < 0 {
			return fmt.Errorf("podshare: %s %v is negative", name, d)
		}
		set(c, min(cmp.Or(d, preset), forever))
		return nil
	})
}

// WithClock sets where the store reads the time of day, which stamps and deadlines come from: for tests of what
// happens when clocks differ or jump. Whatever waits goes by the monotonic clock of the machine all the same. fn may be
// called by any goroutine, by readers too, and must not use the Store. The default is [time.Now].
func WithClock[T any](fn func() time.Time) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if fn == nil {
			return errors.New("podshare: clock is nil")
		}
		c.clock = fn
		return nil
	})
}

// WithCodec sets how values become bytes. All stores of a topic must use the same; one with another is
// reported as [ErrCodecMismatch]. The default is [JSONCodec].
func WithCodec[T any](codec Codec) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if codec == nil {
			return errors.New("podshare: codec is nil")
		}
		c.codec = codec
		return nil
	})
}

// WithErrorHandler sets who hears of errors that no caller waits for: bad frames, refused values, failing
// snapshots, watchers that lag, clocks that are off. fn is called from one goroutine of the store, one error
// after the other; it may call the Store. It falls behind without harm: errors beyond 256 that wait for it
// are dropped. The default counts errors and discards them.
func WithErrorHandler[T any](fn func(error)) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if fn == nil {
			return errors.New("podshare: error handler is nil")
		}
		c.errorHandler = fn
		return nil
	})
}

// WithGCInterval sets how often tombstones older than the tombstone TTL are collected. The default is 5
// minutes; zero means only on writes.
func WithGCInterval[T any](d time.Duration) Option[T] {
	return durationOption("GC interval", d, 0, func(c *config[T], d time.Duration) { c.gcInterval = d })
}

// WithLogger sets where the store logs: errors as warnings. The default, nil, logs nothing.
func WithLogger[T any](l *slog.Logger) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		c.logger = l
		return nil
	})
}

// WithMaxClockSkew sets how far clocks may differ. A write stamped further ahead than this is reported,
// and applied all the same; it does not move this pod's own clock. If this pod's clock is off from the
// median of the live pods' by more, that is reported and the median used instead. The default is 1 minute;
// zero means no report of writes, and the default for everything else.
func WithMaxClockSkew[T any](d time.Duration) Option[T] {
	return durationOption("clock skew", d, 0, func(c *config[T], d time.Duration) { c.maxClockSkew = d })
}

// WithMerger has concurrent writes of a key joined instead of the newest winning. Set joins its value into
// what this store wrote before; readers get what all stores wrote, folded by fn in an order that is the
// same everywhere. For the result to be the join of all writes fn should be commutative, associative and
// idempotent, as the union of sets or the maximum are; replicas converge in any case. A Delete removes the
// writes ordered before it, and none after.
//
// fn gets values of its own, and may change and return them. It is called with the store's lock held, so it must be
// quick and must not call the Store; and without it by readers of a key of which a part has just expired or lapsed, so
// several calls may run at once. If it panics the update at hand is refused and reported.
//
// All stores of a topic must agree on having a Merger.
func WithMerger[T any](fn func(existing, incoming T) T) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if fn == nil {
			return errors.New("podshare: merger is nil")
		}
		c.merger = fn
		return nil
	})
}

// WithNodeID names this pod in events and versions, and to its peers. It should be unique among the live
// pods of a topic; a second use is reported as [ErrNodeIDTaken] and otherwise harmless. A pod that restarts
// may take its name again. The default is a random UUID.
func WithNodeID[T any](id string) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		switch {
		case id == "":
			return errors.New("podshare: node ID is empty")
		case len(id) > maxNodeID:
			return fmt.Errorf("podshare: node ID of %d bytes, limit %d", len(id), maxNodeID)
		}
		c.nodeID = id
		return nil
	})
}

const maxNodeID = 255

// WithSnapshotInterval sets how long writes gather before they are added to the stored snapshot, from which
// pods start. The default is 200 ms, which zero means too. Where fetching and storing takes long, they gather
// longer: four times that, up to 30 s. A write that is not in the snapshot yet is not lost with it: any live pod
// has it.
func WithSnapshotInterval[T any](d time.Duration) Option[T] {
	return durationOption("snapshot interval", d, defaultSnapshotInterval,
		func(c *config[T], d time.Duration) { c.snapshotInterval = d })
}

// WithTombstoneTTL sets how long a deleted key is remembered. Within that time a late write from before
// the delete is recognised by itself; after it, recognising one costs a full comparison with the pod that
// missed the delete, which then happens without being asked for. The default, 24 hours, outlives a long
// outage; a tombstone takes about 150 bytes. Zero means the default.
func WithTombstoneTTL[T any](d time.Duration) Option[T] {
	return durationOption("tombstone TTL", d, defaultTombstoneTTL,
		func(c *config[T], d time.Duration) { c.tombstoneTTL = d })
}

// WithTTL sets how long what Set and SetMany store lasts, and what TrySet and Update store under a new key. See
// [Store.SetTTL], which sets it for one value. The default, zero, means until it is replaced or deleted. Seeds last.
func WithTTL[T any](d time.Duration) Option[T] {
	return durationOption("TTL", d, 0, func(c *config[T], d time.Duration) { c.ttl = d })
}

// WithLease sets for how long this store serves owned keys, see [Store.SetOwned], of a pod that it does not hear any
// more. The default is 10 seconds, which zero means too; it is never less than three heartbeats, which come every
// second, more rarely in large fleets. A shorter lease notices a dead pod sooner, a longer one bridges a longer outage
// of the network. All stores of a topic should have the same.
func WithLease[T any](d time.Duration) Option[T] {
	return durationOption("lease", d, defaultLease, func(c *config[T], d time.Duration) { c.lease = d })
}

// WithBackgroundStart lets [New] succeed while the transport is down, at once and with an empty store, and connects in
// the background: it subscribes and loads the stored snapshot, again and again, with pauses of 100 ms growing to 5 s,
// and reports what fails. Until then the store says that it is [CutOff] and not [Store.Ready], and writes are applied
// here and return [ErrBroadcast]; they reach the others with the first repair. By default New connects before it returns.
func WithBackgroundStart[T any]() Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		c.background = true
		return nil
	})
}

// WithWatchBuffer sets how many events a watcher may be behind before its channel is closed with
// [ErrWatcherLagged]. The default is 256, which zero means too; more than 1,048,576 is an error.
func WithWatchBuffer[T any](n int) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if n < 0 || n > maxWatchBuffer {
			return fmt.Errorf("podshare: watch buffer %d is not within 0 and %d", n, maxWatchBuffer)
		}
		c.watchBuffer = cmp.Or(n, defaultWatchBuffer)
		return nil
	})
}

// WithLimits bounds what the store takes in; see [Limits]. Zero fields keep their defaults.
func WithLimits[T any](l Limits) Option[T] {
	return optionFunc[T](func(c *config[T]) error {
		if err := l.validate(); err != nil {
			return err
		}
		c.limits = l.withDefaults()
		return nil
	})
}
