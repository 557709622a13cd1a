package naive

import (
	"context"
	"encoding/json"
	"time"
)

// Refresh merges the stored snapshot into the store.
func (s *Store[T]) Refresh(ctx context.Context) error {
	data, err := s.transport.FetchSnapshot(ctx, s.topic)
	if err != nil || len(data) == 0 {
		return err
	}
	var writes []envelope
	if err := json.Unmarshal(data, &writes); err != nil {
		return err
	}
	for i := range writes {
		if err := s.merge(&writes[i]); err != nil {
			return err
		}
	}
	return nil
}

// runSnapshotter stores the whole state when the debounce after a change has passed.
func (s *Store[T]) runSnapshotter(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.cfg.SnapshotInterval):
		}
		if data, err := s.encode(); err == nil {
			_ = s.transport.Snapshot(ctx, s.topic, data) // the next one has all of it
		}
	}
}

// encode returns the whole state. Readers go on meanwhile, writers wait until the state is copied.
func (s *Store[T]) encode() ([]byte, error) {
	s.mu.RLock()
	writes := make([]envelope, 0, len(s.entries)+len(s.tombstones))
	for key, e := range s.entries {
		b, err := s.cfg.Codec.Marshal(e.value)
		if err != nil {
			s.mu.RUnlock()
			return nil, err
		}
		writes = append(writes, envelope{kindSet, key, e.origin, e.seq, e.timestamp, b})
	}
	for key, t := range s.tombstones {
		writes = append(writes, envelope{kindDelete, key, t.origin, t.seq, t.timestamp, nil})
	}
	s.mu.RUnlock()
	return json.Marshal(writes)
}
