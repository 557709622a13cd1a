package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/podshare/podshare"
)

// link takes numbers, in messages as long as the frame of one Set of a payload, from the first of some pods to all others.
type link struct {
	name string

	// open connects pods. receive is called with each number that comes to a pod, 1 and up; it may be called by several
	// goroutines. What was opened is closed with the benchmark.
	open func(b *testing.B, pods int, receive func(pod int, n uint64)) (send func(n uint64) error)

	slow bool // some 10,000 messages a second, no more
}

// messageBytes is what the frame of one Set has, and what messages have.
const messageBytes = 187

// message returns one that nothing else holds.
func message(n uint64) []byte {
	b := make([]byte, messageBytes)
	binary.LittleEndian.PutUint64(b, n)
	return b
}

func numberOf(message []byte) uint64 { return binary.LittleEndian.Uint64(message) }

// frameLinks are those that carry bytes: floors, peers, and podshare's own.
func frameLinks() []link {
	return []link{
		{name: "tcp", open: openTCP(1)},
		{name: "p2p", open: openFrames("")},
		{name: "p2p-secret", open: openFrames(meshSecret)},
		{name: "nats", open: openNATS},
		{name: "memberlist-udp", open: openMemberlist((*memberlistPod).sendUDP), slow: true},
		{name: "memberlist-tcp", open: openMemberlist((*memberlistPod).sendTCP), slow: true},
	}
}

// storeLinks are those that set a key and wait for the event of the watcher.
func storeLinks() []link {
	ds := designs[payload]()
	return []link{
		{name: "store", open: openStores(ds[0], "")},
		{name: "store-secret", open: openStores(ds[0], meshSecret)},
		{name: "naive", open: openStores(ds[1], "")},
	}
}

// openTCP is the floor: a connection to each pod, and so many messages in one write.
func openTCP(together int) func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
	return func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
		b.Helper()
		conns := make([]net.Conn, 0, pods-1)
		for pod := 1; pod < pods; pod++ {
			from, to := tcpPair(b)
			conns = append(conns, from)
			go func() {
				in := bufio.NewReaderSize(to, 64<<10)
				msg := make([]byte, messageBytes)
				for {
					if _, err := io.ReadFull(in, msg); err != nil {
						return
					}
					receive(pod, numberOf(msg))
				}
			}()
		}
		var buf []byte
		waiting := 0
		return func(n uint64) error {
			buf = append(buf, message(n)...)
			if waiting++; waiting < together {
				return nil
			}
			for _, conn := range conns {
				if _, err := conn.Write(buf); err != nil {
					return err
				}
			}
			buf, waiting = buf[:0], 0
			return nil
		}
	}
}

// tcpPair returns the ends of a connection over loopback.
func tcpPair(b testing.TB) (from, to net.Conn) {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if from, err = new(net.Dialer).DialContext(context.Background(), "tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = from.Close() })
	if to, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = to.Close() })
	return from, to
}

// openFrames is Publish to Subscribe of a P2PTransport.
func openFrames(secret string) func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
	return func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
		b.Helper()
		ts := openMesh(b, pods, secret)
		for i, t := range ts[1:] {
			frames, err := t.Subscribe(b.Context(), topic)
			if err != nil {
				b.Fatal(err)
			}
			go func() {
				for frame := range frames {
					receive(i+1, numberOf(frame))
				}
			}()
		}
		return func(n uint64) error { return ts[0].Publish(context.Background(), topic, message(n)) }
	}
}

// openStores is Set to the event of a watcher, over P2P.
func openStores(d design[payload], secret string) func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
	return func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
		b.Helper()
		stores := openStoresOver(b, d, openMesh(b, pods, secret))
		for i, s := range stores[1:] {
			events := d.watch(b.Context(), s, "")
			go func() {
				for ev := range events {
					receive(i+1, numberOf(ev.Value[:]))
				}
			}()
		}
		base, k := randomPayload(newRand()), key(1)
		return func(n uint64) error {
			return stores[0].Set(context.Background(), k, numbered(base, int(n)))
		}
	}
}

// openStoresOver opens a store over each transport. They are closed with the benchmark.
func openStoresOver[T podshare.Transport](b *testing.B, d design[payload], ts []T) []store[payload] {
	b.Helper()
	stores := make([]store[payload], len(ts))
	for i, t := range ts {
		stores[i] = d.open(b, t, storeOptions{node: podName(i), codec: copyCodec{}, debounce: never})
		closeAfter(b, stores[i])
	}
	return stores
}
