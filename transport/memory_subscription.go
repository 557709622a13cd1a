package transport

import "sync"

// memorySubscription is the queue between publishers and one subscriber.
type memorySubscription struct {
	// mu makes sure that nothing is sent after the close of frames. It is never held while waiting.
	mu     sync.Mutex
	frames chan []byte // closed by end
	ended  bool
	losing bool // a frame was lost since the queue was last half empty

	// detach takes the subscription off its ctx; memoryShard.mu guards it.
	detach func() bool
}

// fate is what became of an offered frame.
type fate int

const (
	taken     fate = iota // queued, or the subscription has ended
	lost                  // the queue was full, as before
	lostFirst             // the queue was full for the first time in a while: worth a report
)

func newMemorySubscription(queueFrames int) *memorySubscription {
	return &memorySubscription{frames: make(chan []byte, queueFrames)}
}

// offer queues a frame if there is room.
func (s *memorySubscription) offer(msg []byte) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return taken
	}
	// A subscriber that takes one frame of a full queue has not caught up: without the wide margin each of
	// its reads would bring another report.
	if s.losing && len(s.frames) <= cap(s.frames)/2 {
		s.losing = false
	}
	select {
	case s.frames <- msg:
		return taken
	default:
	}
	if s.losing {
		return lost
	}
	s.losing = true
	return lostFirst
}

// end closes the channel, once.
func (s *memorySubscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.frames)
	}
}
