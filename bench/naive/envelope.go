package naive

import (
	"context"
	"encoding/json"
	"time"
)

type kind int

const (
	kindSet kind = iota
	kindDelete
)

// envelope is one write on the wire: JSON, the value in base64.
type envelope struct {
	Kind      kind      `json:"kind"`
	Key       string    `json:"key"`
	Origin    string    `json:"origin"`
	Seq       uint64    `json:"seq"`
	Timestamp time.Time `json:"timestamp"`
	Value     []byte    `json:"value,omitempty"`
}

func parse(frame []byte) (e envelope, err error) {
	if err := json.Unmarshal(frame, &e); err != nil {
		return e, err
	}
	if e.Kind != kindSet && e.Kind != kindDelete {
		return e, errKind
	}
	return e, nil
}

func (s *Store[T]) publish(ctx context.Context, e *envelope) error {
	frame, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.transport.Publish(ctx, s.topic, frame)
}
