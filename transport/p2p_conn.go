package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// p2pConn is a connection after its handshake. One goroutine reads from it, another writes to it.
type p2pConn struct {
	t       *P2PTransport
	conn    net.Conn
	eager   *eagerConn // below conn
	reader  *p2pReader
	sender  *p2pSender
	hello   p2pGreeting // the other side's
	remote  string      // the address that was dialled, or which the other side advertises
	inbound bool
	since   time.Time
	peer    *p2pPeer // once active
	number  uint64   // in the order in which the side that decides has decided

	replaces *p2pConn      // ended as soon as the other side uses this one; the reader's, and deactivate's after that has ended
	heard    chan struct{} // closed when nothing is read any more
	failed   chan struct{} // closed when the connection has ended
	cause    atomic.Pointer[error]

	receivedFrames, receivedBytes atomic.Uint64
}

var errP2PSilent = errors.New("the peer is silent")

// open makes a connection of nc: TLS, handshake, and the agreement that it is to be used. dialled is the address that was
// dialled, empty for who was. An error leaves nothing open.
func (t *P2PTransport) open(ctx context.Context, nc *net.TCPConn, dialled string) (c *p2pConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.options.DialTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // ends whatever waits
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = nc.Close()
			if ctx.Err() != nil {
				err = fmt.Errorf("no handshake: %w", ctx.Err())
			}
		}
	}()
	eager := newEagerConn(nc, t.options.KeepAlivePeriod)
	conn, err := t.security.secure(ctx, eager, dialled)
	if err != nil {
		return nil, err
	}
	c = &p2pConn{
		t: t, conn: conn, eager: eager, sender: newP2PSender(conn, eager, &t.options), reader: newP2PReader(conn, p2pHelloMost),
		remote: dialled, inbound: dialled == "", since: time.Now(), heard: make(chan struct{}), failed: make(chan struct{}),
	}
	if c.hello, err = p2pHandshake(conn, c.reader, &t.security, t.greeting(), !c.inbound); err != nil {
		return nil, err
	}
	if c.hello.id == t.id {
		return nil, errP2PSelf
	}
	if c.inbound {
		c.remote = p2pAdvertised(c.hello.advertise, nc.RemoteAddr())
	}
	c.sender.mostFrame = c.hello.maxFrame
	c.eager.timeout = max(t.options.KeepAlivePeriod, c.hello.keepAlive)
	if err := c.agree(); err != nil {
		return nil, err
	}
	c.eager.setPatient(false)
	return c, nil
}

// agree waits until the other side has decided that this connection is to be used, if that is its decision to make: the
// transport with the lower id decides, when it activates a connection.
func (c *p2pConn) agree() error {
	if c.decides() {
		return nil
	}
	kind, body, err := c.reader.next()
	switch {
	case err != nil:
		return err
	case kind == p2pBye:
		return p2pSaidBye(body)
	case kind != p2pUse:
		return fmt.Errorf("%w: kind %d after the hello", errP2PMalformed, kind)
	}
	f := p2pFields{b: body}
	c.number = f.number()
	return f.err(kind)
}

func (c *p2pConn) decides() bool { return string(c.t.id[:]) < string(c.hello.id[:]) }

// run reads and writes until the connection has ended, for whatever reason.
func (c *p2pConn) run() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err := c.read()
	close(c.heard)
	if err != nil {
		c.fail(err)
	}
	c.end("") // what waits for the other side it may still want: of its new connection it may not know yet
	<-written
	c.fail(nil)
}

// fail ends the connection at once. Only the first reason counts; nil is a good one.
func (c *p2pConn) fail(err error) {
	if c.cause.CompareAndSwap(nil, &err) {
		close(c.failed)
		_ = c.eager.Close() // without a word of TLS, which could wait
	}
}

// end ends the connection after what waits was sent, and the reason; within the keep-alive period, if the other side is
// dead.
func (c *p2pConn) end(reason string) {
	c.sender.finish(appendP2PFrame(nil, p2pBye, []byte(reason)))
}

// write writes what there is to write, and notices a silent peer.
func (c *p2pConn) write() {
	const ticksSilent = 3
	ticker := time.NewTicker(c.eager.timeout / ticksSilent)
	defer ticker.Stop()
	reads, silent := uint64(0), 0
	err := c.sender.run(c.failed, ticker.C, func(wrote bool) {
		if now := c.eager.reads.Load(); now != reads {
			reads, silent = now, 0
		} else if silent++; silent == ticksSilent {
			c.fail(errP2PSilent)
		}
		if !wrote {
			c.sender.control(appendP2PFrame(nil, p2pPing, nil))
		}
	})
	if err != nil {
		c.fail(err)
		return
	}
	// All is said. The connection ends when the other side has said all, too.
	_ = c.eager.CloseWrite()
	timer := time.NewTimer(c.eager.timeout)
	defer timer.Stop()
	select {
	case <-c.heard:
	case <-c.failed:
	case <-timer.C:
		c.fail(errP2PSilent)
	}
}

// read takes in frames until the other side has no more.
func (c *p2pConn) read() error {
	c.reader.most = max(c.t.options.MaxFrameBytes, p2pPieceBytes) + p2pOverhead
	for {
		kind, body, err := c.reader.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the peer has closed it without a word")
			}
			return err
		}
		if c.replaces != nil {
			c.replaces.end(p2pReplaced)
			c.replaces = nil
		}
		c.receivedBytes.Add(uint64(p2pHeader + len(body)))
		if kind == p2pBye {
			if reason := string(body); reason != "" && reason != p2pReplaced && reason != p2pClosing {
				return p2pSaidBye(body)
			}
			return nil
		}
		if err := c.take(kind, body); err != nil {
			return err
		}
	}
}

// Reasons of a bye that are no failures.
const (
	p2pReplaced = "replaced"
	p2pClosing  = "closing"
)

// p2pRemoved is the reason of a bye of one that does not want to be connected any more.
const p2pRemoved = "removed"

// take takes in a frame.
func (c *p2pConn) take(kind p2pKind, body []byte) error {
	switch f := (p2pFields{b: body}); kind {
	case p2pData:
		id, msg := f.number(), f.rest()
		if f.bad {
			return f.err(kind)
		}
		c.receivedFrames.Add(1)
		c.t.deliver(id, msg)
	case p2pSubscribe:
		id, topic := f.number(), f.rest()
		if f.bad || id == 0 || len(topic) == 0 || len(topic) > p2pTopicMost {
			return fmt.Errorf("%w: subscribes to a topic of %d bytes", errP2PMalformed, len(topic))
		}
		return c.t.peerSubscribes(c.peer, id, string(topic))
	case p2pUnsubscribe:
		id := f.number()
		c.t.peerUnsubscribes(c.peer, id)
		return f.err(kind)
	case p2pFetch:
		wish, err := parseP2PWish(body)
		if err != nil {
			return err
		}
		c.t.answer(c, wish)
	case p2pPiece:
		piece, err := parseP2PPiece(body)
		if err != nil {
			return err
		}
		c.t.takePiece(c.peer, piece)
	case p2pPing:
		c.t.peerListed(c.peer)
	case p2pHello, p2pUse, p2pBye:
		return fmt.Errorf("%w: kind %d in the middle", errP2PMalformed, kind)
	default: // a newer version's; it knows that we cannot read it
	}
	return nil
}

// subscribeFrame asks for the frames of a topic.
func subscribeFrame(id uint64, topic string) []byte {
	return appendP2PFrame(nil, p2pSubscribe, append(binary.AppendUvarint(nil, id), topic...))
}

func unsubscribeFrame(id uint64) []byte {
	return appendP2PFrame(nil, p2pUnsubscribe, binary.AppendUvarint(nil, id))
}
