package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// eagerConn is a TCP connection that can be written to without waiting: what the kernel does not take at once is kept, and
// goes out with the next write that may wait. TLS lies above it, so that a record is never left half written.
type eagerConn struct {
	*net.TCPConn
	raw      syscall.RawConn // nil: it cannot
	patience time.Duration   // for which a write waits for the kernel to take something

	reads atomic.Uint64 // that brought something

	mu    sync.Mutex // guards what follows; held while waiting
	rest  []byte     // kept
	eager bool
}

func newEagerConn(c *net.TCPConn, patience time.Duration) *eagerConn {
	e := &eagerConn{TCPConn: c, patience: patience}
	if canWriteNow {
		e.raw, _ = c.SyscallConn()
	}
	return e
}

// Read is that of net.Conn.
func (e *eagerConn) Read(b []byte) (int, error) {
	n, err := e.TCPConn.Read(b)
	if n > 0 {
		e.reads.Add(1)
	}
	return n, err
}

// setEager says whether the writes to come may wait.
func (e *eagerConn) setEager(eager bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.eager = eager
}

// Write is that of net.Conn. With eager it takes all of b at once.
func (e *eagerConn) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.eager {
		if err := e.flush(); err != nil {
			return 0, err
		}
		return e.writeAll(b)
	}
	n := 0
	if len(e.rest) == 0 {
		var err error
		if n, err = writeNow(e.raw, b); err != nil {
			return n, err
		}
	}
	e.rest = append(e.rest, b[n:]...)
	return len(b), nil
}

// kept reports whether something waits for a write that may wait.
func (e *eagerConn) kept() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.rest) > 0
}

// flush writes what was kept.
func (e *eagerConn) flush() error {
	if len(e.rest) == 0 {
		return nil
	}
	n, err := e.writeAll(e.rest)
	if e.rest = e.rest[n:]; len(e.rest) == 0 {
		e.rest = nil
	}
	return err
}

// Flush writes what was kept. It may wait.
func (e *eagerConn) Flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flush()
}

// writeAll writes in steps, each of which has all of the patience: a slow connection is not a dead one.
func (e *eagerConn) writeAll(b []byte) (written int, err error) {
	const step = 64 << 10
	defer func() { _ = e.SetWriteDeadline(time.Time{}) }() // one that has passed would fail writeNow, too
	for written < len(b) {
		if err := e.SetWriteDeadline(time.Now().Add(e.patience)); err != nil {
			return written, err
		}
		n, err := e.TCPConn.Write(b[written:min(len(b), written+step)])
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}
