package transport

import "sync"

// frameQueue is what waits for one subscriber. Whoever fills it never waits: what finds no room is lost.
type frameQueue struct {
	// mu makes sure that nothing is sent after the close of frames. It is never held while waiting.
	mu     sync.Mutex
	frames chan []byte // closed by end
	ended  bool
	losing bool // a frame was lost since the queue was last half empty

	most  int   // bytes that may wait, 0: any number. An empty queue takes a larger frame all the same
	bytes int   // the sum of sizes
	sizes []int // of the frames that wait, or did until lately, the oldest first; unused if most is 0
}

// fate is what became of an offered frame.
type fate int

const (
	taken     fate = iota // queued, or the subscription has ended
	lost                  // the queue was full, as before
	lostFirst             // the queue was full for the first time in a while: worth a report
)

func (q *frameQueue) init(frames, bytes int) { q.frames, q.most = make(chan []byte, frames), bytes }

// offer queues a frame if there is room.
func (q *frameQueue) offer(msg []byte) fate {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return taken
	}
	// A subscriber that takes one frame of a full queue has not caught up: without the wide margin each of
	// its reads would bring another report.
	q.settle()
	if q.losing && len(q.frames) <= cap(q.frames)/2 && q.bytes <= q.most/2 {
		q.losing = false
	}
	if q.most == 0 || q.bytes == 0 || q.bytes+len(msg) <= q.most {
		select {
		case q.frames <- msg:
			q.count(msg)
			return taken
		default:
		}
	}
	if q.losing {
		return lost
	}
	q.losing = true
	return lostFirst
}

// count notes the size of a frame that was queued.
func (q *frameQueue) count(msg []byte) {
	if q.most > 0 {
		q.sizes = append(q.sizes, len(msg))
		q.bytes += len(msg)
	}
}

// settle forgets the sizes of frames that the subscriber has taken since: it takes the oldest first.
func (q *frameQueue) settle() {
	for len(q.sizes) > len(q.frames) {
		q.bytes -= q.sizes[0]
		q.sizes = q.sizes[1:]
	}
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
