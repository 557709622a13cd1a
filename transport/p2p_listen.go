package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// p2pArrivals are the connections that others made to this transport. P2PTransport.mu guards it.
type p2pArrivals struct {
	all       int
	from      map[netip.Addr]int
	strangers []*p2pStranger // whose handshake is not over, the oldest first
	told      time.Time      // when a refusal was reported last
}

// p2pStranger is a connection of which nothing is known yet.
type p2pStranger struct {
	from   netip.Addr
	conn   *net.TCPConn
	cancel context.CancelFunc

	forgotten bool // it is not counted any more
}

// accept lets others connect until the listener is closed.
func (t *P2PTransport) accept() {
	const longest = time.Second
	delay := time.Duration(0)
	for {
		nc, err := t.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of files, most likely: that passes
			if delay == 0 {
				t.report(fmt.Errorf("accept: %w", err))
			}
			delay = min(max(2*delay, p2pBackoffFirst), longest)
			pause(t.ctx, delay)
			continue
		}
		delay = 0
		t.welcome(nc.(*net.TCPConn))
	}
}

// welcome serves a connection on a goroutine of its own, if there is room for it.
func (t *P2PTransport) welcome(nc *net.TCPConn) {
	s := &p2pStranger{conn: nc}
	if remote, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		s.from = remote.AddrPort().Addr().Unmap()
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.ctx)
	if !t.arrive(s) {
		s.cancel()
		_ = nc.Close()
		t.refuse(s, ErrTooManyConnections)
		return
	}
	t.running.Go(func() {
		defer t.depart(s)
		defer s.cancel()
		c, err := t.open(ctx, nc, "")
		if t.known(s); err == nil {
			if err = t.activate(c); err != nil {
				_ = nc.Close()
			}
		}
		if err != nil {
			t.refuse(s, err)
			return
		}
		t.serve(c)
	})
}

// p2pRefusalsEvery bounds how often refused connections are reported: they are others' doing.
const p2pRefusalsEvery = time.Second

// refuse counts a connection that did not become a peer's, and reports it, unless that was done just now.
func (t *P2PTransport) refuse(s *p2pStranger, err error) {
	if t.isClosed() || errors.Is(err, errP2PSelf) {
		return
	}
	t.refused.Add(1)
	now := time.Now()
	t.mu.Lock()
	a := &t.arrivals
	told := now.Sub(a.told) >= p2pRefusalsEvery
	if told {
		a.told = now
	}
	t.mu.Unlock()
	if told {
		t.report(fmt.Errorf("connection from %s refused: %w", s.from, err))
	}
}

// arrive makes room for a connection: if there is none, the oldest whose handshake is not over gives way.
func (t *P2PTransport) arrive(s *p2pStranger) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.arrivals
	if t.closed {
		return false
	}
	switch {
	case a.from[s.from] >= t.options.MaxConnectionsPerAddress:
		if !a.evict(func(o *p2pStranger) bool { return o.from == s.from }) {
			return false
		}
	case a.all >= t.options.MaxConnections:
		if !a.evict(func(*p2pStranger) bool { return true }) {
			return false
		}
	}
	if a.from == nil {
		a.from = map[netip.Addr]int{}
	}
	a.all++
	a.from[s.from]++
	a.strangers = append(a.strangers, s)
	return true
}

// evict ends the oldest of those whose handshake is not over.
func (a *p2pArrivals) evict(which func(s *p2pStranger) bool) bool {
	i := slices.IndexFunc(a.strangers, which)
	if i < 0 {
		return false
	}
	s := a.strangers[i]
	a.strangers = slices.Delete(a.strangers, i, i+1)
	s.cancel()
	a.forget(s)
	return true
}

// forget no longer counts a connection.
func (a *p2pArrivals) forget(s *p2pStranger) {
	if s.forgotten {
		return
	}
	s.forgotten = true
	a.all--
	if a.from[s.from]--; a.from[s.from] == 0 {
		delete(a.from, s.from)
	}
}

// known notes that a connection's handshake is over.
func (t *P2PTransport) known(s *p2pStranger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &t.arrivals
	if i := slices.Index(a.strangers, s); i >= 0 {
		a.strangers = slices.Delete(a.strangers, i, i+1)
	}
}

// depart forgets a connection that has ended.
func (t *P2PTransport) depart(s *p2pStranger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.arrivals.forget(s)
}
