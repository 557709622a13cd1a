//go:build linux

package p2pfaults

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy passes connections on to a pod, as badly as the test wants.
type proxy struct {
	addr, target string
	listener     net.Listener
	running      sync.WaitGroup
	done         chan struct{} // closed at the end of the test

	mu     sync.Mutex // guards all below
	closed bool
	links  map[*link]bool
	random *rand.Rand
	cutAt  int // a link is cut after fewer bytes than this; 0: none is
	cuts   int // links that were cut
	shape  shape
	heard  [][]byte // what was sent to the pod, by connection
}

// shape is what a link does to what passes. The kernel could do it to packets (netem), but not everywhere where tests
// run; so this is what a stream looks like that comes over such a link: it is late, comes as slowly as the link is, and
// stands still where a packet was lost, until that was sent again.
type shape struct {
	delay time.Duration // one way
	rate  int           // bytes a second; 0: as fast as can be
	loss  float64       // of packets
}

// retransmit is for how long TCP waits at least before it sends a lost packet again.
const retransmit = 200 * time.Millisecond

// link is a connection to the proxy and the one to the pod.
type link struct {
	from, to *net.TCPConn
	left     int // bytes in both directions until it is cut, if links are; proxy.mu guards it
	number   int // in proxy.heard
}

// packet is what arrives at once.
type packet struct {
	bytes []byte
	due   time.Time
	last  bool // the link is cut after it
}

const (
	packetBytes = 1460
	linkPackets = 48       // that are on their way: half a second of 1 Mbit/s
	linkBuffer  = 64 << 10 // bytes that wait in the kernel at either side: a segment of loopback must fit
)

// startProxy starts a proxy that listens at addr until the end of the test.
func startProxy(t *testing.T, addr, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	p := &proxy{
		addr: addr, target: target, listener: listener, done: make(chan struct{}), links: map[*link]bool{},
		random: rand.New(rand.NewPCG(1, 2)),
	}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.running.Wait()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.done)
	p.listener.Close()
	for l := range p.links {
		l.reset()
	}
}

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			conn.Close()
			continue
		}
		l := &link{from: conn.(*net.TCPConn), to: to.(*net.TCPConn)}
		for _, c := range []*net.TCPConn{l.from, l.to} {
			_ = c.SetReadBuffer(linkBuffer) // what does not pass waits at the pod
			_ = c.SetWriteBuffer(linkBuffer)
		}
		p.mu.Lock()
		l.left, l.number = p.room(), len(p.heard)
		p.heard = append(p.heard, nil)
		p.links[l] = true
		if p.closed {
			l.reset()
		}
		p.mu.Unlock()
		p.running.Go(func() { p.pass(l) })
	}
}

// room returns after how many bytes a link is cut.
func (p *proxy) room() int { return p.random.IntN(max(p.cutAt, 1)) }

// cutLinks cuts each link after some bytes, fewer than most, from now on; 0: none any more.
func (p *proxy) cutLinks(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAt = most
	for l := range p.links {
		l.left = p.room()
	}
}

func (p *proxy) cutSoFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// set makes links be of that shape from now on.
func (p *proxy) set(s shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = s
}

// reset cuts the links of this moment.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// sent returns what was sent to the pod, by connection.
func (p *proxy) sent() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all [][]byte
	for _, b := range p.heard {
		all = append(all, append([]byte(nil), b...))
	}
	return all
}

// pass runs a link until both directions have ended, or one is broken.
func (p *proxy) pass(l *link) {
	var directions sync.WaitGroup
	for _, d := range [][2]*net.TCPConn{{l.from, l.to}, {l.to, l.from}} {
		queue := make(chan packet, linkPackets)
		directions.Go(func() { p.read(l, d[0], queue) })
		directions.Go(func() { p.write(l, d[1], queue) })
	}
	directions.Wait()
	l.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// read reads one direction of a link, which ends with the queue.
func (p *proxy) read(l *link, from *net.TCPConn, queue chan<- packet) {
	defer close(queue)
	var free time.Time // when the link will have sent all
	for {
		buf := make([]byte, packetBytes)
		n, err := from.Read(buf)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				l.reset()
			}
			return
		}
		now := time.Now()
		p.mu.Lock()
		out := packet{bytes: buf[:n]}
		if p.cutAt > 0 && n >= l.left {
			out.bytes, out.last = buf[:max(l.left, 0)], true
			p.cuts++
		}
		l.left -= n
		if from == l.from {
			p.heard[l.number] = append(p.heard[l.number], out.bytes...)
		}
		if free.Before(now) {
			free = now
		}
		if p.shape.rate > 0 {
			free = free.Add(time.Duration(n) * time.Second / time.Duration(p.shape.rate))
		}
		out.due = free.Add(p.shape.delay)
		if p.random.Float64() < p.shape.loss {
			out.due = out.due.Add(retransmit + 2*p.shape.delay) // what follows waits for it
		}
		p.mu.Unlock()
		select {
		case queue <- out:
		case <-p.done:
			return
		}
		if out.last {
			return
		}
	}
}

// write writes one direction of a link.
func (p *proxy) write(l *link, to *net.TCPConn, queue <-chan packet) {
	for out := range queue {
		if wait := time.Until(out.due); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-p.done:
				timer.Stop()
			}
		}
		if _, err := to.Write(out.bytes); err != nil || out.last {
			l.reset()
			for range queue { // its reader ends, too
			}
			return
		}
	}
	_ = to.CloseWrite() // it may be closed
}

// reset ends both connections as a crash of a router would, without a goodbye.
func (l *link) reset() {
	for _, conn := range []*net.TCPConn{l.from, l.to} {
		_ = conn.SetLinger(0) // it may be closed
		conn.Close()
	}
}
