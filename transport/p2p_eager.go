package transport

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// p2pSocketBuffer is how much the kernel holds of what is sent, in bytes. By itself it would hold megabytes for a slow
// peer, and not ask for more before a third has gone: a connection on its way would look dead.
const p2pSocketBuffer = 256 << 10

// eagerConn is a TCP connection on which nobody waits who does not want to: what the kernel does not take at once is kept
// for the next write of who waits, and left is called. TLS lies above it, so that a record is never left half
// written, and that its answers to the other side, which whoever reads must give, hold up nobody.
type eagerConn struct {
	*net.TCPConn
	raw     syscall.RawConn // nil: all writes wait
	timeout time.Duration   // for which a write waits for the kernel to take something
	left    func()          // called when something is kept

	reads atomic.Uint64 // that brought something

	mu      sync.Mutex // guards what follows; held while waiting
	rest    []byte     // kept
	patient bool       // writes wait
}

func newEagerConn(c *net.TCPConn, timeout time.Duration) *eagerConn {
	_ = c.SetWriteBuffer(p2pSocketBuffer) // a wish
	e := &eagerConn{TCPConn: c, timeout: timeout, patient: true}
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

// setPatient says whether the writes to come wait.
func (e *eagerConn) setPatient(patient bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.patient = patient || e.raw == nil
}

// Write is that of net.Conn.
func (e *eagerConn) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.patient {
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
	if n < len(b) {
		e.rest = append(e.rest, b[n:]...)
		e.left()
	}
	return len(b), nil
}

// kept reports whether something waits for a write that waits.
func (e *eagerConn) kept() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.rest) > 0
}

// Flush writes what was kept, and waits.
func (e *eagerConn) Flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flush()
}

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

// writeAll writes all of b. A connection that takes little is slow; one that takes nothing for the whole time-out is dead.
func (e *eagerConn) writeAll(b []byte) (written int, err error) {
	defer func() { _ = e.SetWriteDeadline(time.Time{}) }() // one that has passed would fail writeNow, too
	const step = 64 << 10
	for written < len(b) {
		if err := e.SetWriteDeadline(time.Now().Add(e.timeout)); err != nil {
			return written, err
		}
		n, err := e.TCPConn.Write(b[written:min(len(b), written+step)])
		written += n
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return written, err
		}
	}
	return written, nil
}
