package transport

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// p2pPeer is another transport as long as there is a connection to it. P2PTransport.mu guards it where nothing else is
// said.
type p2pPeer struct {
	id     p2pID
	conn   *p2pConn                  // nil once it is gone
	sender atomic.Pointer[p2pSender] // of conn; never nil
	gone   chan struct{}             // closed when it is
	listed bool                      // it has said what it subscribes to

	topics map[uint64]string // it subscribes to, by id; P2PTransport.routes.mu guards it

	telling sync.Mutex
	told    bool // OnConnect was called, and OnDisconnect was not since; telling guards it
}

// activate makes c the connection to its peer.
func (t *P2PTransport) activate(c *p2pConn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	p := t.peers[c.hello.id]
	if p == nil {
		p = &p2pPeer{id: c.hello.id, gone: make(chan struct{}), topics: map[uint64]string{}}
		t.peers[p.id] = p
	}
	c.peer = p
	if old := p.conn; old != nil {
		if c.decides() {
			c.replaces = old // the other side may still use it
		} else {
			old.end(p2pReplaced)
		}
	}
	p.conn = c
	t.conns[c] = true
	p.sender.Store(c.sender)
	for topic, s := range t.subscriptions {
		c.sender.control(subscribeFrame(s.id, topic))
	}
	c.sender.control(appendP2PFrame(nil, p2pPing, nil)) // that was all
	return nil
}

// serve is the life of an active connection.
func (t *P2PTransport) serve(c *p2pConn) {
	t.tell(c)
	c.run()
	t.deactivate(c)
	t.tell(c)
	if err := *c.cause.Load(); err != nil && !t.isClosed() {
		t.report(fmt.Errorf("connection to %s lost: %w", c.name(), err))
	}
}

// deactivate forgets a connection that has ended, and its peer if that has no other.
func (t *P2PTransport) deactivate(c *p2pConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
	if c.replaces != nil {
		c.replaces.end(p2pReplaced) // the other side never used this one; it may use the one before no more than this
	}
	p := c.peer
	if p.conn != c {
		return
	}
	p.conn = nil
	delete(t.peers, p.id)
	close(p.gone)
	t.routes.drop(p)
}

// tell calls OnConnect or OnDisconnect if the state of c's peer is not what was told last. What came and went meanwhile is
// not told.
func (t *P2PTransport) tell(c *p2pConn) {
	p := c.peer
	p.telling.Lock()
	defer p.telling.Unlock()
	t.mu.Lock()
	connected := p.conn != nil
	t.mu.Unlock()
	if p.told == connected {
		return
	}
	p.told = connected
	fn := t.options.OnDisconnect
	if connected {
		fn = t.options.OnConnect
	}
	if fn != nil {
		defer func() { _ = recover() }() // there is nobody to tell
		fn(c.remote, c.inbound)
	}
}

// connectedTo returns the connection to the peer that was reached at addr, or says to be there.
func (t *P2PTransport) connectedTo(addr string) *p2pConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.peers {
		if p.conn.isAt(addr) {
			return p.conn
		}
	}
	return nil
}

func (c *p2pConn) isAt(addr string) bool {
	return c.remote == addr || p2pAdvertised(c.hello.advertise, c.eager.RemoteAddr()) == addr
}

// name is how people know the peer.
func (c *p2pConn) name() string { return fmt.Sprintf("%q at %s", c.hello.node, c.remote) }

// p2pAdvertised completes an advertised address with the host that a peer is seen at. Without a port it is only seen.
func p2pAdvertised(advertise string, seen net.Addr) string {
	host, port, err := net.SplitHostPort(advertise)
	if err != nil {
		return seen.String()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host, _, _ = net.SplitHostPort(seen.String()) // a TCP address
	}
	return net.JoinHostPort(host, port)
}
