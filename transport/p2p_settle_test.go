package transport_test

import (
	"io"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// ask asks for a snapshot that is not there, and returns what was said before the answer: so all that was to be said was.
func ask(t *testing.T, conn net.Conn) (said []string) {
	t.Helper()
	_, err := io.WriteString(conn, rawFrame(7, "\x01\x00\x00nothing"))
	require.NoError(t, err)
	for {
		kind, body := readRaw(t, conn)
		if kind == 8 {
			return said
		}
		said = append(said, string(kind)+body)
	}
}

// The other side may die in any step of settling: what is used then is the connection that it still uses.
//
//	raw  a
//	 |c1-|   used
//	 |c2-|   takes its place; raw has not used it when it dies
//	 |c3-|   likewise, and dies after c2
//	 |c1-|   is used again
func TestP2PFallsBackToTheConnectionThatLives(t *testing.T) {
	a := openP2P(t, plaintext)
	c1, _ := subscribeRaw(t, a, "flags")
	defer c1.Close()
	c2, c3 := dialRaw(t, a), dialRaw(t, a)
	_, err := a.Subscribe(t.Context(), "later")
	require.NoError(t, err)
	require.NoError(t, c2.Close())
	require.NoError(t, c3.Close())
	eventually(t, func() bool { return slices.Contains(ask(t, c1), "\x03\x01later") },
		"what was only told by connections that died is told again")
	require.Len(t, a.Stats().Peers, 1)
	require.NoError(t, a.Publish(t.Context(), "flags", []byte("frame")))
	require.Equal(t, []string{"\x05\x07frame"}, ask(t, c1))
}

func TestP2PConnectionThatLostItsPlaceIsEndedOnceTheNewOneIsUsed(t *testing.T) {
	a := openP2P(t, plaintext)
	c1, _ := subscribeRaw(t, a, "flags")
	defer c1.Close()
	c2, _ := subscribeRaw(t, a, "flags")
	defer c2.Close()
	kind, body := readRaw(t, c1)
	require.Equal(t, "\x09replaced", string(kind)+body)
	_, err := c1.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, a.Publish(t.Context(), "flags", []byte("frame")))
	require.Equal(t, []string{"\x05\x07frame"}, ask(t, c2))
	require.Len(t, a.Stats().Peers, 1)
}

// However often a peer subscribes to a topic, it gets a frame once.
func TestP2PTopicHasOneRouteToAPeer(t *testing.T) {
	a := openP2P(t, plaintext)
	conn := dialRaw(t, a)
	defer conn.Close()
	_, err := io.WriteString(conn, topics(1000))
	require.NoError(t, err)
	ask(t, conn)
	require.NoError(t, a.Publish(t.Context(), "t", []byte("frame")))
	require.Equal(t, []string{"\x05\xe8\x07frame"}, ask(t, conn), "by the newest number")
	_, err = io.WriteString(conn, rawFrame(4, "\x01"))
	require.NoError(t, err)
	ask(t, conn)
	require.NoError(t, a.Publish(t.Context(), "t", []byte("frame")))
	require.Len(t, ask(t, conn), 1, "the end of another number ends nothing")
	_, err = io.WriteString(conn, rawFrame(4, "\xe8\x07"))
	require.NoError(t, err)
	ask(t, conn)
	require.NoError(t, a.Publish(t.Context(), "t", []byte("frame")))
	require.Empty(t, ask(t, conn))
}

// A peer that has no room, or lets nobody in right now, is not nobody.
func TestP2PIsNotAloneBesideAPeerThatRefuses(t *testing.T) {
	full := openP2P(t, func(o *transport.P2POptions) { o.MaxConnections = 1 })
	connected(t, full, openP2P(t, to(full)))
	for name, a := range map[string]*transport.P2PTransport{
		"full": openP2P(t, to(full)), "another secret": openP2P(t, to(full), secret("another one that is long")),
	} {
		_, err := a.FetchSnapshot(t.Context(), "flags")
		require.NoError(t, err)
		require.False(t, a.Alone("flags"), name)
	}
}

func TestP2PRemovePeerByNameEndsTheConnectionThatThePeerMade(t *testing.T) {
	b := openP2P(t)
	_, port, err := net.SplitHostPort(b.Addr())
	require.NoError(t, err)
	a := openP2P(t)
	a.AddPeer("localhost:" + port)
	connected(t, a, b)
	b.AddPeer(a.Addr()) // known by its address already: b does not dial
	require.True(t, a.RemovePeer("localhost:"+port))
	require.True(t, b.RemovePeer(a.Addr()))
	eventually(t, func() bool { return len(a.Stats().Peers)+len(b.Stats().Peers) == 0 }, "removed")
}
