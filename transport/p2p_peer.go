package transport

import (
	"encoding/binary"
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

	// P2PTransport.routes.mu guards these.
	topics     map[uint64]string // it subscribes to, by id
	topicBytes int               // of them all

	telling sync.Mutex
	told    bool // OnConnect was called, and OnDisconnect was not since; telling guards it
}

// activate makes c the connection to its peer.
//
// Two connections that both sides dialled at the same moment must settle on one, the same on either side. The transport with
// the lower id decides: each connection that it activates takes the place of the one before, which the other side may have
// lost, and the use frame says so by a number that grows. The other side follows the highest number, in whatever
// order they arrive. A connection that lost its place is read until the other side has said all.
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
	t.conns[c] = true
	old := p.conn
	switch {
	case c.decides():
		t.lastUse++
		c.number = t.lastUse
		c.sender.control(appendP2PFrame(nil, p2pUse, binary.AppendUvarint(nil, c.number)))
		c.replaces = old // once the other side uses c
	case old != nil && old.number > c.number:
		c.end(p2pReplaced)
		return nil
	case old != nil:
		old.end(p2pReplaced)
	}
	p.conn = c
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
	p := c.peer
	if p.conn != c {
		return
	}
	if old := c.replaces; old != nil && t.conns[old] {
		p.conn = old // the other side has not used c, and may never have heard of it
		p.sender.Store(old.sender)
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
