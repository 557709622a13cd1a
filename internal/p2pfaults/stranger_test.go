//go:build linux

package p2pfaults

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

// siege is a fleet of two pods that strangers come to while it writes. Nobody is let in, and the pods stay connected.
type siege struct {
	*fleet
	pods []*pod
	tls  bool
}

// mostConnections is how many a pod takes.
const mostConnections = 300

// besiege starts a fleet for a test of strangers; change says how it is secured.
func besiege(t *testing.T, change func(o *transport.P2POptions)) *siege {
	t.Helper()
	f, pods := startFleet(t, 2, func(_ *config, o *transport.P2POptions) {
		o.MaxConnections = mostConnections
		change(o)
	})
	_, o := f.config(0)
	return &siege{fleet: f, pods: pods, tls: o.Secret != nil || o.TLSConfig != nil}
}

// Nothing in a plaintext mesh proves who a peer is; who is none by mistake is found out all the same.
func TestFleetSurvivesStrangersWithoutSecurity(t *testing.T) {
	s := besiege(t, func(o *transport.P2POptions) { o.Secret = nil })
	t.Run("a port scanner", s.portScanner)
	t.Run("an HTTP client", s.httpClient)
	t.Run("a TLS client", s.tlsClient)
	t.Run("a peer with a secret", func(t *testing.T) { s.refuses(t, func(o *transport.P2POptions) { o.Secret = secretOf(1) }) })
	t.Run("random bytes", s.randomBytes)
	t.Run("frames that lie about their length", s.lyingFrames)
	t.Run("hellos that claim huge fields", s.hugeHellos)
	t.Run("peers whose frames lie about their length", s.lyingPeers)
	t.Run("a thousand idle connections", s.idleConnections)
	s.settle()
}

func TestFleetSurvivesStrangersToItsSecret(t *testing.T) {
	s := besiege(t, func(o *transport.P2POptions) {})
	t.Run("a port scanner", s.portScanner)
	t.Run("an HTTP client", s.httpClient)
	t.Run("a TLS client", s.tlsClient)
	t.Run("a plaintext peer", func(t *testing.T) { s.refuses(t, func(o *transport.P2POptions) { o.Secret = nil }) })
	t.Run("a peer with another secret", func(t *testing.T) { s.refuses(t, func(o *transport.P2POptions) { o.Secret = secretOf(1) }) })
	t.Run("a man in the middle", s.manInTheMiddle)
	t.Run("a replayed handshake", s.replay)
	t.Run("random bytes", s.randomBytes)
	t.Run("frames that lie about their length", s.lyingFrames)
	t.Run("hellos that claim huge fields", s.hugeHellos)
	t.Run("a thousand idle connections", s.idleConnections)
	s.settle()
}

func TestFleetSurvivesStrangersToItsCertificates(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	valid, expired := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	with := func(trust, signer *authority, notAfter time.Time) func(o *transport.P2POptions) {
		return func(o *transport.P2POptions) { o.Secret, o.TLSConfig = nil, trust.config(signer, notAfter) }
	}
	s := besiege(t, with(ours, ours, valid))
	t.Run("a port scanner", s.portScanner)
	t.Run("a TLS client", s.tlsClient)
	t.Run("a plaintext peer", func(t *testing.T) { s.refuses(t, func(o *transport.P2POptions) { o.Secret, o.TLSConfig = nil, nil }) })
	t.Run("a peer with a secret", func(t *testing.T) {
		s.refuses(t, func(o *transport.P2POptions) { o.Secret, o.TLSConfig = secretOf(0), nil })
	})
	t.Run("an expired certificate", func(t *testing.T) { s.refuses(t, with(ours, ours, expired)) })
	t.Run("a certificate of another authority", func(t *testing.T) { s.refuses(t, with(ours, foreign, valid)) })
	t.Run("a pod of another mesh", func(t *testing.T) { s.refuses(t, with(foreign, foreign, valid)) })
	t.Run("a replayed handshake", s.replay)
	t.Run("random bytes", s.randomBytes)
	t.Run("a thousand idle connections", s.idleConnections)
	s.settle()
}

// refuses has somebody try to be a pod, who must learn nothing, say nothing, and hear that it is refused.
func (f *fleet) refuses(t *testing.T, change func(o *transport.P2POptions)) {
	t.Helper()
	c, o := f.config(f.size + 1)
	change(&o)
	before := f.refusals()
	intruder, err := openPod(c, o)
	require.NoError(t, err)
	defer intruder.close()
	intruder.set("intruder", "was here") // f.check finds it in the end, too
	fleettest.Poll(t, "the intruder to be refused", func() bool {
		return f.refusals() > before && intruder.heard(func(err error) bool { return strings.Contains(err.Error(), "cannot connect to") })
	})
	require.Empty(t, intruder.status().Connected)
	require.Equal(t, map[string]string{"intruder": "was here"}, intruder.contents().Values)
	for _, m := range f.members {
		require.NotContains(t, m.contents().Values, "intruder")
	}
}

// refusals is how many connections were refused.
func (f *fleet) refusals() (n uint64) {
	for _, m := range f.members {
		n += m.status().Refused
	}
	return n
}

// disturbed runs what a stranger does some times: each is refused, while the pods stay connected and hear each other.
func (s *siege) disturbed(t *testing.T, times int, stranger func(n int)) {
	t.Helper()
	before, connected := s.refusals(), s.since()
	for n := range times {
		stranger(n)
	}
	fleettest.Poll(t, "strangers to be refused", func() bool { return s.refusals() >= before+uint64(times) })
	s.awaitPassing(s.pods[0], s.pods[1])
	require.Equal(t, connected, s.since(), "the pods have lost their connection")
}

// since is since when the first pod is connected to the others.
func (s *siege) since() (all []time.Time) {
	for _, p := range s.pods[0].transport.Stats().Peers {
		if p.Node == nodeOf(1) {
			all = append(all, p.Since)
		}
	}
	return all
}

// dial connects to the first pod, with TLS if it speaks that.
func (s *siege) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addressOf(0))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(fleettest.Patience)))
	if s.tls {
		c := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}) //nolint:gosec // a stranger
		require.NoError(t, c.Handshake())
		conn = c
	}
	return conn
}

// say has a stranger say something and hear that nobody answers.
func say(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	_, _ = io.WriteString(conn, what)                  // refused before the end, perhaps
	said, _ := io.ReadAll(io.LimitReader(conn, 1<<20)) // the end, or a reset
	require.Less(t, len(said), 4<<10, "a stranger was told more than a hello of TLS")
	conn.Close()
}

func (s *siege) portScanner(t *testing.T) {
	s.disturbed(t, 100, func(int) {
		conn, err := net.Dial("tcp", addressOf(0))
		require.NoError(t, err)
		conn.Close()
	})
}

func (s *siege) httpClient(t *testing.T) {
	s.disturbed(t, 10, func(int) {
		conn, err := net.Dial("tcp", addressOf(0))
		require.NoError(t, err)
		say(t, conn, "GET /healthz HTTP/1.1\r\nHost: pod\r\n\r\n")
	})
}

// A TLS client is a stranger to a mesh that speaks TLS, too: it shows neither a certificate nor a proof.
func (s *siege) tlsClient(t *testing.T) {
	s.disturbed(t, 10, func(int) {
		ctx, cancel := context.WithTimeout(t.Context(), fleettest.Patience)
		defer cancel()
		dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}} //nolint:gosec // a stranger
		conn, err := dialer.DialContext(ctx, "tcp", addressOf(0))
		if err == nil {
			say(t, conn, "hello")
		}
	})
}

func (s *siege) randomBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s.disturbed(t, 100, func(int) {
		conn, err := net.Dial("tcp", addressOf(0))
		require.NoError(t, err)
		noise := make([]byte, 1+random.IntN(4_000))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		_, _ = conn.Write(noise) // refused before the end, perhaps
		conn.Close()
	})
}

// replay sends again what a pod once sent when it connected, each of the recorded connections twice.
func (s *siege) replay(t *testing.T) {
	wire := startProxy(t, addressOf(behind), addressOf(0))
	defer wire.close()
	c, o := s.config(s.size + 1)
	o.Peers = []string{wire.addr}
	guest, err := openPod(c, o)
	require.NoError(t, err)
	fleettest.Poll(t, "a pod to connect", func() bool { return len(guest.status().Connected) == 1 })
	guest.close()
	for _, recorded := range wire.sent() {
		s.disturbed(t, 2, func(int) {
			conn, err := net.Dial("tcp", addressOf(0))
			require.NoError(t, err)
			_, _ = conn.Write(recorded) // refused before the end, perhaps
			say(t, conn, "")
		})
	}
}

// manInTheMiddle passes on what a pod and another one say to each other, each in a TLS session with it. The proofs are
// not of these sessions.
func (s *siege) manInTheMiddle(t *testing.T) {
	certificate := newAuthority(t).config(newAuthority(t), time.Now().Add(time.Hour))
	listener, err := tls.Listen("tcp", addressOf(behind), certificate)
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				to, err := tls.Dial("tcp", addressOf(0), &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}) //nolint:gosec // a stranger
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, conn) }()
				_, _ = io.Copy(conn, to)
			}()
		}
	}()
	s.refuses(t, func(o *transport.P2POptions) { o.Peers = []string{addressOf(behind)} })
}

// frame is a frame as docs/p2p.md has it, of a given length, which need not be the true one.
func frame(length uint32, kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, length)) + string(kind) + body
}

func hello(fields string) string {
	body := "podshare\x01\x01" + fields
	return frame(uint32(1+len(body)), 1, body)
}

func (s *siege) lyingFrames(t *testing.T) {
	for _, lie := range []string{frame(0xffffffff, 1, "podshare"), frame(0, 1, "podshare"), frame(1<<20, 1, "podshare"), frame(0x80000000, 5, "")} {
		s.disturbed(t, 5, func(int) { say(t, s.dial(t), lie) })
	}
}

func (s *siege) hugeHellos(t *testing.T) {
	const id, huge = "0123456789abcdef", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	for _, fields := range []string{
		id + huge + huge + huge,                                // a name of 16 EiB
		id + huge + huge + "\x00" + huge,                       // an address
		id + huge + huge + "\x00\x00" + huge,                   // proofs
		id + huge + huge + "\x00\x00\x04" + "too short",        // proofs
		id + huge + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", // more than a number
		id[:5],
	} {
		s.disturbed(t, 5, func(int) { say(t, s.dial(t), hello(fields)) })
	}
}

// lyingPeers are let in, for nothing keeps them out; they claim large frames of which they send little.
func (s *siege) lyingPeers(t *testing.T) {
	const peers = 100
	before, connected := fleettest.Measure(), s.since()
	random := rand.New(rand.NewPCG(5, 6))
	var conns []net.Conn
	for range peers {
		conn := s.dial(t)
		id := make([]byte, 16)
		binary.BigEndian.PutUint64(id, random.Uint64())
		// 1 s of keep-alive, frames of 1 MiB, a name, no address, no proofs
		_, err := io.WriteString(conn, hello(string(id)+"\xe8\x07\x80\x80\x40\x04liar\x00\x00"))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 5))
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for n, conn := range conns {
		length := uint32(32 << 20)
		if n%2 == 0 {
			length = 0xffffffff // more than allowed
		}
		_, err := io.WriteString(conn, frame(length, 5, "\x01 and no more"))
		require.NoError(t, err)
	}
	s.awaitPassing(s.pods[0], s.pods[1])
	before.CheckHeap(t)
	for _, conn := range conns {
		conn.Close()
	}
	fleettest.Poll(t, "the liars to be gone", func() bool {
		return !slices.Contains(s.pods[0].status().Connected, "liar")
	})
	require.Equal(t, connected, s.since(), "the pods have lost their connection")
}

// idleConnections come from several addresses, say nothing, and stay. They take no more than a bounded number of places,
// which they give up to pods.
func (s *siege) idleConnections(t *testing.T) {
	before, connected := fleettest.Measure(), s.since()
	for n := range 1_000 {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(100+n%5))}}
		conn, err := from.DialContext(t.Context(), "tcp", addressOf(0))
		require.NoError(t, err)
		defer conn.Close()
	}
	fleettest.Poll(t, "those that gave way to be gone", func() bool {
		return runtime.NumGoroutine() < before.Goroutines+mostConnections+50
	})
	before.CheckHeap(t)
	now := fleettest.Measure()
	t.Logf("1,000 idle connections: %d goroutines, %d KiB", now.Goroutines-before.Goroutines, (int64(now.Heap)-int64(before.Heap))>>10)

	c, o := s.config(s.size + 1)
	guest, err := openPod(c, o)
	require.NoError(t, err)
	defer guest.close()
	fleettest.Poll(t, "a pod to join", func() bool {
		return len(guest.status().Connected) == 2 && guest.contents().Values[fmt.Sprintf("%s/0", s.pods[0].diary().Run)] != ""
	})
	s.awaitPassing(s.pods[0], s.pods[1])
	require.Equal(t, connected, s.since(), "the pods have lost their connection")
}
