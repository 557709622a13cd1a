//go:build unix

package redisfaults

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy passes connections on to a server, as well as the test lets it.
type proxy struct {
	addr, server string
	listener     net.Listener
	running      sync.WaitGroup

	mu      sync.Mutex // guards all below
	closed  bool
	links   map[*link]bool
	cutting bool
	cuts    int           // links that were cut
	stalled chan struct{} // not nil: what subscribers are sent stays here until it is closed
}

// link is a connection of a pod and the one to the server.
type link struct {
	pod, server *net.TCPConn
	subscriber  bool // guarded by mu
	left        int  // bytes in both directions until it is cut, guarded by mu
}

// startProxy starts a proxy that ends with the test.
func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: listener.Addr().String(), server: server, listener: listener, links: map[*link]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.listener.Close()
		p.resume()
		p.mu.Lock()
		p.closed = true
		for l := range p.links {
			l.reset()
		}
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		// A small window: what a stalled subscriber is sent waits at the server.
		dialer := net.Dialer{Timeout: time.Second, Control: smallWindow}
		server, err := dialer.DialContext(context.Background(), "tcp", p.server)
		if err != nil {
			conn.Close()
			continue
		}
		l := &link{pod: conn.(*net.TCPConn), server: server.(*net.TCPConn)}
		p.mu.Lock()
		l.left = p.room()
		p.links[l] = true
		if p.closed {
			l.reset()
		}
		p.mu.Unlock()
		p.running.Go(func() { p.pass(l, l.server, l.pod) })
		p.running.Go(func() { p.pass(l, l.pod, l.server) })
	}
}

// room returns after how many bytes the next link is cut: sooner or later in a frame, and differently each time. The
// first ones are enough to log in and to subscribe.
func (p *proxy) room() int { return 400 + p.cuts*997%20_011 }

// cutLinks cuts each link after some bytes, from now on, or none any more.
func (p *proxy) cutLinks(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutting = cut
	for l := range p.links {
		l.left = p.room()
	}
}

func (p *proxy) cutSoFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// stall holds up what subscribers are sent, until resume.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// pass copies one direction of a link until that ends.
func (p *proxy) pass(l *link, from, to *net.TCPConn) {
	defer func() {
		l.reset()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}()
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		l.subscriber = l.subscriber || from == l.pod && bytes.Contains(bytes.ToLower(buf[:n]), []byte("subscribe"))
		var stalled chan struct{}
		if from == l.server && l.subscriber {
			stalled = p.stalled
		}
		cut := p.cutting && n >= l.left
		if cut {
			n = max(l.left, 0)
			p.cuts++
		}
		l.left -= n
		p.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if _, err := to.Write(buf[:n]); err != nil || cut {
			return
		}
	}
}

// reset ends both connections as a crash of a router would, without a goodbye.
func (l *link) reset() {
	for _, conn := range []*net.TCPConn{l.pod, l.server} {
		_ = conn.SetLinger(0) // it may be closed
		conn.Close()
	}
}
