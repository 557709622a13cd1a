package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// p2pInlineMost is the largest frame that its publisher writes itself.
	p2pInlineMost = 16 << 10

	// p2pInlinePeers is how many peers a frame is written to by its publisher: who publishes does not wait for all others.
	p2pInlinePeers = 4

	// p2pBurst is how soon after the return of a Publish another one makes it a burst: frames of a burst are gathered by
	// the goroutines of the senders, which write what has gathered in one go.
	p2pBurst = 3 * time.Microsecond

	// p2pGather is up to how much is written in one go. Larger frames are not copied for it.
	p2pGather = 64 << 10
)

// p2pSender is what waits to be written to a connection. Who fills it never waits. Control frames are few and never
// dropped; what is published is, beyond the limits.
//
// A frame that comes alone is written by who publishes it, at once and without waiting; else the goroutine of run
// writes. busy says that one of the two does: it has the right to write, and to use buf.
type p2pSender struct {
	conn  net.Conn
	eager *eagerConn // below conn, or conn itself
	depth int        // frames that may wait
	most  int        // bytes that may wait
	wake  chan struct{}

	mostFrame uint64      // bytes of the largest frame that the other side takes
	tooLarge  atomic.Bool // there was a larger one

	mu     sync.Mutex
	queue  []p2pOut
	spare  []p2pOut // empty, to be the next queue
	frames int      // counted ones that wait or are being written
	bytes  int      // of them
	busy   bool
	ended  bool // nothing is taken any more
	losing bool // a frame was dropped since the queue was last half empty
	wrote  bool // since the last tick
	err    error

	buf []byte

	sentFrames, sentBytes, dropped atomic.Uint64
}

// p2pOut is a frame to be written.
type p2pOut struct {
	id      uint64 // of the subscription that it is for; 0: bytes are a whole frame
	bytes   []byte
	counted bool // as one of those that may be dropped
}

func newP2PSender(conn net.Conn, eager *eagerConn, o *P2POptions) *p2pSender {
	s := &p2pSender{conn: conn, eager: eager, depth: o.SendQueueDepth, most: o.SendQueueBytes, wake: make(chan struct{}, 1)}
	eager.left = s.signal
	return s
}

// publish sends a frame that was published: at once, if inline is set and nothing waits before it.
func (s *p2pSender) publish(id uint64, msg []byte, inline bool) fate {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return taken
	}
	if inline && !s.busy && len(s.queue) == 0 && len(msg) <= p2pInlineMost && s.eager.raw != nil {
		s.writeNow(id, msg)
		return taken
	}
	return s.queueLocked(p2pOut{id, msg, true})
}

// offer sends a frame if there is room in the queue.
func (s *p2pSender) offer(out p2pOut) fate {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return taken
	}
	return s.queueLocked(out)
}

// queueLocked queues a counted frame if there is room. It unlocks mu.
func (s *p2pSender) queueLocked(out p2pOut) fate {
	if s.losing && s.frames <= s.depth/2 && s.bytes <= s.most/2 {
		s.losing = false
	}
	if s.frames >= s.depth || s.frames > 0 && s.bytes+len(out.bytes) > s.most {
		f := lost
		if !s.losing {
			s.losing, f = true, lostFirst
		}
		s.mu.Unlock()
		s.dropped.Add(1)
		return f
	}
	s.frames++
	s.bytes += len(out.bytes)
	s.queue = append(s.queue, out)
	s.unlockAndWake(!s.busy)
	return taken
}

// control sends a whole frame.
func (s *p2pSender) control(frame []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, p2pOut{bytes: frame})
	s.unlockAndWake(!s.busy)
}

// finish sends a last frame, and takes no more.
func (s *p2pSender) finish(frame []byte) {
	s.mu.Lock()
	if !s.ended {
		s.ended = true
		s.queue = append(s.queue, p2pOut{bytes: frame})
	}
	s.unlockAndWake(!s.busy)
}

func (s *p2pSender) unlockAndWake(wake bool) {
	s.mu.Unlock()
	if wake {
		s.signal()
	}
}

// signal wakes run.
func (s *p2pSender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// writeNow writes a frame without waiting: run writes what is left of it. The caller has locked mu, which it unlocks.
func (s *p2pSender) writeNow(id uint64, msg []byte) {
	s.busy = true
	s.mu.Unlock()
	s.buf = append(appendP2PData(s.buf[:0], id, len(msg)), msg...)
	_, err := s.conn.Write(s.buf)
	s.count(1, len(s.buf))
	s.mu.Lock()
	s.busy, s.wrote = false, true
	if err != nil && s.err == nil {
		s.err = err
	}
	s.unlockAndWake(s.err != nil || len(s.queue) > 0)
}

func (s *p2pSender) count(frames, bytes int) {
	s.sentFrames.Add(uint64(frames))
	s.sentBytes.Add(uint64(bytes))
}

// run writes what waits, until done is closed, a write fails, or all is written after finish. tick is called at every
// tick, with whether something was written since the last.
func (s *p2pSender) run(done <-chan struct{}, ticks <-chan time.Time, tick func(wrote bool)) error {
	for {
		batch, ended, err := s.take()
		switch {
		case err != nil:
			return err
		case batch != nil:
			err := s.write(batch)
			if s.giveBack(batch); err != nil {
				return err
			}
			continue
		case ended:
			return nil
		}
		select {
		case <-s.wake:
		case <-ticks:
			s.mu.Lock()
			wrote := s.wrote
			s.wrote = false
			s.mu.Unlock()
			tick(wrote)
		case <-done:
			return nil
		}
	}
}

// take returns what waits, if it can be written now; the caller is busy until it gives it back.
func (s *p2pSender) take() (batch []p2pOut, ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, false, s.err
	case s.busy:
		return nil, false, nil // who is wakes us
	case len(s.queue) == 0 && !s.eager.kept():
		return nil, s.ended, nil
	}
	batch, s.queue, s.spare = s.queue, s.spare, nil
	if batch == nil {
		batch = []p2pOut{} // what is kept alone
	}
	s.busy = true
	return batch, false, nil
}

// giveBack ends what take began.
func (s *p2pSender) giveBack(batch []p2pOut) {
	clear(batch)
	const spareMost = 4096 // frames
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(batch) <= spareMost {
		s.spare = batch[:0]
	}
	s.busy, s.wrote = false, true
}

// written makes room for as many frames.
func (s *p2pSender) written(batch []p2pOut) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		if batch[i].counted {
			s.frames--
			s.bytes -= len(batch[i].bytes)
		}
	}
}

// write writes frames, many at a time, and waits.
func (s *p2pSender) write(batch []p2pOut) error {
	s.eager.setPatient(true)
	defer s.eager.setPatient(false)
	if err := s.eager.Flush(); err != nil {
		return err
	}
	for len(batch) > 0 {
		n, err := s.writeSome(batch)
		if err != nil {
			return err
		}
		s.written(batch[:n])
		batch = batch[n:]
	}
	return nil
}

// writeSome writes frames from the beginning of batch, and returns how many.
func (s *p2pSender) writeSome(batch []p2pOut) (n int, err error) {
	buf, frames := s.buf[:0], 0
	for ; n < len(batch) && len(buf) < p2pGather; n++ {
		out := &batch[n]
		if out.id != 0 {
			frames++
			buf = appendP2PData(buf, out.id, len(out.bytes))
		}
		if len(out.bytes) > p2pInlineMost {
			break
		}
		buf = append(buf, out.bytes...)
	}
	s.buf = buf
	if cap(buf) > 2*p2pGather {
		s.buf = nil
	}
	s.count(frames, len(buf))
	if _, err := s.conn.Write(buf); err != nil || n == len(batch) || len(batch[n].bytes) <= p2pInlineMost {
		return n, err
	}
	s.count(0, len(batch[n].bytes)) // a large one, of which buf has the beginning
	_, err = s.conn.Write(batch[n].bytes)
	return n + 1, err
}

// waiting is how many frames that were published wait.
func (s *p2pSender) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}
