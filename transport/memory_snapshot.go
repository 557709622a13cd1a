package transport

import (
	"bytes"
	"sync"
)

// memorySnapshots keeps the snapshot of each topic. Slices are copied on the way in and on the way out.
type memorySnapshots struct {
	// mu guards byTopic, and with it the slices.
	mu      sync.Mutex
	byTopic map[string][]byte // no value is empty; nil once closed
}

func (ss *memorySnapshots) init() { ss.byTopic = map[string][]byte{} }

// put replaces the snapshot of topic; empty data removes it.
func (ss *memorySnapshots) put(topic string, data []byte) error {
	data = bytes.Clone(data)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	switch {
	case ss.byTopic == nil:
		return ErrClosed
	case len(data) == 0:
		delete(ss.byTopic, topic)
	default:
		ss.byTopic[topic] = data
	}
	return nil
}

// get returns the snapshot of topic, nil if there is none.
func (ss *memorySnapshots) get(topic string) ([]byte, error) {
	ss.mu.Lock()
	data, closed := ss.byTopic[topic], ss.byTopic == nil
	ss.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return bytes.Clone(data), nil // a stored slice is replaced, never changed
}

// close forgets everything.
func (ss *memorySnapshots) close() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.byTopic = nil
}
