package transport

import (
	"encoding/binary"
	"fmt"
	"net"
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
		defer old.end(p2pReplaced)
	}
	t.use(c)
	return nil
}

// use sends what is for c's peer by c. The caller holds mu.
func (t *P2PTransport) use(c *p2pConn) {
	c.peer.conn = c
	c.peer.sender.Store(c.sender)
	for topic, s := range t.subscriptions {
		c.sender.control(subscribeFrame(s.id, topic))
	}
	c.sender.control(appendP2PFrame(nil, p2pPing, nil)) // that was all
}

// serve is the life of an active connection.
func (t *P2PTransport) serve(c *p2pConn) {
	t.peersChanged()
	c.run()
	t.deactivate(c)
	t.peersChanged()
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
	for old := c.replaces; old != nil; old = old.replaces {
		if t.conns[old] {
			t.use(old) // the other side has not used c, and may never have heard of it
			return
		}
	}
	p.conn = nil
	delete(t.peers, p.id)
	close(p.gone)
	t.routes.drop(p)
}

// connectedTo returns the connection to the peer that was reached at addr, or says to be there.
func (t *P2PTransport) connectedTo(addr string) *p2pConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.connectedToLocked(addr)
}

func (t *P2PTransport) connectedToLocked(addr string) *p2pConn {
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
