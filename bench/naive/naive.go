// Package naive is the yardstick of the benchmarks: a replicated map as one writes it in an afternoon. A map
// behind an RWMutex with one shared read counter; a JSON envelope with the value in base64 and one publish for
// each write; the newest timestamp wins; deletes are remembered; the whole state as one JSON document when the
// debounce has passed; watchers in one list that each write walks through.
//
// It stands over the same Transport as podshare and uses the same codecs, so that a difference between the two is
// one of design. Nothing in it is slow on purpose. It has no repair: what the transport loses stays lost until
// somebody calls Refresh.
package naive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/podshare/podshare"
)

// Config sets up a [Store].
type Config struct {
	Codec            podshare.Codec
	NodeID           string
	SnapshotInterval time.Duration // debounce; zero: 200 ms
	WatchBuffer      int           // events; zero: 256
}

// Store is a map that every pod of a topic holds in full.
type Store[T any] struct {
	topic     string
	transport podshare.Transport
	cfg       Config
	reads     atomic.Uint64

	// mu guards the rest up to the blank line.
	mu         sync.RWMutex
	entries    map[string]entry[T]
	tombstones map[string]tombstone // no key is in both maps
	seq        uint64               // of the last local write
	watchers   []*watcher[T]

	dirty chan struct{} // one token: something changed since the last snapshot
	stop  context.CancelFunc
	wait  sync.WaitGroup
}

type entry[T any] struct {
	value T
	stamp
}

type tombstone struct{ stamp }

// stamp orders writes: by time, then by origin.
type stamp struct {
	timestamp time.Time
	origin    string
	seq       uint64
}

func (s stamp) newer(than stamp) bool {
	if !s.timestamp.Equal(than.timestamp) {
		return s.timestamp.After(than.timestamp)
	}
	return s.origin > than.origin
}

// New returns a store that holds what the stored snapshot has.
func New[T any](ctx context.Context, topic string, t podshare.Transport, cfg Config) (*Store[T], error) {
	if cfg.SnapshotInterval == 0 {
		cfg.SnapshotInterval = 200 * time.Millisecond
	}
	if cfg.WatchBuffer == 0 {
		cfg.WatchBuffer = 256
	}
	run, stop := context.WithCancel(context.Background())
	s := &Store[T]{
		topic:      topic,
		transport:  t,
		cfg:        cfg,
		entries:    map[string]entry[T]{},
		tombstones: map[string]tombstone{},
		dirty:      make(chan struct{}, 1),
		stop:       stop,
	}
	frames, err := t.Subscribe(run, topic)
	if err != nil {
		stop()
		return nil, err
	}
	if err := s.Refresh(ctx); err != nil {
		stop()
		return nil, err
	}
	s.wait.Go(func() { s.receive(frames) })
	s.wait.Go(func() { s.runSnapshotter(run) })
	return s, nil
}

// Get returns the value of a key.
func (s *Store[T]) Get(key string) (T, bool) {
	s.reads.Add(1)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[key]
	return e.value, ok
}

// Len returns the number of keys.
func (s *Store[T]) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries)
}

// Set stores a value and publishes the write.
func (s *Store[T]) Set(ctx context.Context, key string, value T) error {
	b, err := s.cfg.Codec.Marshal(value)
	if err != nil {
		return err
	}
	return s.write(ctx, envelope{Kind: kindSet, Key: key, Value: b}, value)
}

// Delete removes a key and publishes the write.
func (s *Store[T]) Delete(ctx context.Context, key string) error {
	var none T
	return s.write(ctx, envelope{Kind: kindDelete, Key: key}, none)
}

// SetMany is Set for each key.
func (s *Store[T]) SetMany(ctx context.Context, kvs map[string]T) error {
	for key, value := range kvs {
		if err := s.Set(ctx, key, value); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the goroutines of the store.
func (s *Store[T]) Close() error {
	s.stop()
	s.wait.Wait()
	return nil
}

func (s *Store[T]) write(ctx context.Context, e envelope, value T) error {
	s.mu.Lock()
	s.seq++
	e.Origin, e.Seq, e.Timestamp = s.cfg.NodeID, s.seq, time.Now()
	s.applyLocked(&e, value)
	s.mu.Unlock()
	return s.publish(ctx, &e)
}

// receive applies the writes of others until the subscription ends.
func (s *Store[T]) receive(frames <-chan []byte) {
	for frame := range frames {
		e, err := parse(frame)
		if err != nil || e.Origin == s.cfg.NodeID {
			continue
		}
		_ = s.merge(&e)
	}
}

// merge applies a write that another store made.
func (s *Store[T]) merge(e *envelope) error {
	var value T
	if e.Kind == kindSet {
		if err := s.cfg.Codec.Unmarshal(e.Value, &value); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyLocked(e, value)
	return nil
}

// applyLocked takes in a write if it is newer than what the key holds, and tells the watchers.
func (s *Store[T]) applyLocked(e *envelope, value T) {
	at := stamp{timestamp: e.Timestamp, origin: e.Origin, seq: e.Seq}
	if old, ok := s.entries[e.Key]; ok && !at.newer(old.stamp) {
		return
	}
	if old, ok := s.tombstones[e.Key]; ok && !at.newer(old.stamp) {
		return
	}
	if e.Kind == kindDelete {
		delete(s.entries, e.Key)
		s.tombstones[e.Key] = tombstone{at}
	} else {
		delete(s.tombstones, e.Key)
		s.entries[e.Key] = entry[T]{value, at}
	}
	s.dispatchLocked(podshare.Event[T]{
		Kind: podshare.EventKind(e.Kind), Key: e.Key, Value: value, Origin: e.Origin, Timestamp: e.Timestamp,
	})
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

var errKind = errors.New("naive: unknown kind of write")
