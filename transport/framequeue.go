package transport

import "sync"

// frameQueue is what waits for one subscriber. Whoever fills it never waits: what finds no room is lost.
type frameQueue struct {
	// mu makes sure that nothing is sent after the close of frames. It is never held while waiting.
	mu     sync.Mutex
	frames chan []byte // closed by end
	ended  bool
	losing bool // a frame was lost since the queue was last half empty
}

// fate is what became of an offered frame.
type fate int

const (
	taken     fate = iota // queued, or the subscription has ended
	lost                  // the queue was full, as before
	lostFirst             // the queue was full for the first time in a while: worth a report
)

func (q *frameQueue) init(frames int) { q.frames = make(chan []byte, frames) }

// offer queues a frame if there is room.
func (q *frameQueue) offer(msg []byte) fate {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return taken
	}
	// A subscriber that takes one frame of a full queue has not caught up: without the wide margin each of
	// its reads would bring another report.
	if q.losing && len(q.frames) <= cap(q.frames)/2 {
		q.losing = false
	}
	select {
	case q.frames <- msg:
		return taken
	default:
	}
	if q.losing {
		return lost
	}
	q.losing = true
	return lostFirst
}

// end closes the channel, once.
func (q *frameQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended = true
		close(q.frames)
	}
}
