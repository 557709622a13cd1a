package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"
)

const (
	p2pBackoffFirst = 50 * time.Millisecond

	// p2pHandshakesMost is how many of its handshakes a transport makes at a time. When a fleet starts, all at once would take
	// more processor time than each has: all would fail, and be made again.
	p2pHandshakesMost = 16
)

// errP2PSelf says that a transport has dialled itself.
var errP2PSelf = errors.New("this is the transport itself")

// p2pDial keeps a connection to the peer at an address.
type p2pDial struct {
	t       *P2PTransport
	addr    string
	end     context.CancelFunc
	settled chan struct{} // closed after the first attempt

	// P2PTransport.mu guards these.
	absent bool     // nothing listens at the address, or the transport itself
	peer   *p2pPeer // the last one that was reached
}

// AddPeer has the transport connect to addr, host:port, until RemovePeer. It reports whether that is new. It does nothing
// for what is no address, or after Close.
func (t *P2PTransport) AddPeer(addr string) bool {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.report(fmt.Errorf("address %q: %w", addr, err))
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.dials[addr] != nil {
		return false
	}
	ctx, end := context.WithCancel(t.ctx)
	d := &p2pDial{t: t, addr: addr, end: end, settled: make(chan struct{})}
	t.dials[addr] = d
	t.running.Go(func() { d.run(ctx) })
	return true
}

// RemovePeer ends what AddPeer, or P2POptions.Peers, began, and the connection to the peer at addr, whichever side made it. It
// reports whether the address was known. A peer that has this pod among its own peers connects again.
func (t *P2PTransport) RemovePeer(addr string) bool {
	t.mu.Lock()
	d := t.dials[addr]
	delete(t.dials, addr)
	t.mu.Unlock()
	if d == nil {
		return false
	}
	d.end()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.connectedToLocked(addr)
	if c == nil && d.peer != nil {
		c = d.peer.conn
	}
	if c != nil {
		c.end(p2pRemoved)
	}
	return true
}

// run connects, again and again, until ctx ends.
func (d *p2pDial) run(ctx context.Context) {
	defer d.end()
	settle := true
	settled := func() {
		if settle {
			close(d.settled)
			settle = false
		}
	}
	defer settled()
	reported := ""
	delay := p2pBackoffFirst
	for ctx.Err() == nil {
		if c := d.t.connectedTo(d.addr); c != nil {
			settled()
			d.await(ctx, c.peer)
			continue
		}
		c, err := d.connect(ctx)
		if err == nil {
			if err = d.t.activate(c); err != nil {
				_ = c.eager.Close()
			}
		}
		d.note(c, err)
		settled()
		if err == nil {
			reported = ""
			began := time.Now()
			stop := context.AfterFunc(ctx, func() {
				if !d.t.isClosed() {
					c.end(p2pRemoved)
				}
			})
			d.t.serve(c)
			stop()
			d.await(ctx, c.peer)
			if time.Since(began) > delay {
				delay = p2pBackoffFirst
				continue // it was a good one
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, errP2PSelf) && withoutDigits(err) != reported {
			reported = withoutDigits(err)
			d.t.report(fmt.Errorf("cannot connect to %s: %w", d.addr, err))
		}
		pause(ctx, delay/2+rand.N(delay/2+1)) //nolint:gosec // spreads load, hides nothing
		delay = min(2*delay, d.t.options.ReconnectInterval)
	}
}

// note remembers how an attempt ended.
func (d *p2pDial) note(c *p2pConn, err error) {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	d.absent = errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errP2PSelf)
	if err == nil {
		d.peer = c.peer
	}
}

// withoutDigits is the text of an error without what differs each time: ports, times.
func withoutDigits(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// await waits until a peer is gone.
func (d *p2pDial) await(ctx context.Context, p *p2pPeer) {
	select {
	case <-p.gone:
	case <-ctx.Done():
	}
}

// connect makes a connection.
func (d *p2pDial) connect(ctx context.Context) (*p2pConn, error) {
	dialer := net.Dialer{Timeout: d.t.options.DialTimeout, KeepAlive: -1} // ours notices more
	nc, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	select { // after the connect: an address where packets are dropped holds up no other
	case d.t.handshakes <- struct{}{}:
	case <-ctx.Done():
		_ = nc.Close()
		return nil, ctx.Err()
	}
	defer func() { <-d.t.handshakes }()
	return d.t.open(ctx, nc.(*net.TCPConn), d.addr)
}
