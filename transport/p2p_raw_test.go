package transport_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// What another implementation of docs/p2p.md would send, written out: these bytes may not change unnoticed.

func rawFrame(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))) + string(kind) + body
}

// rawHello says: versions 1 to 1, an id, 30 s between signs of life, frames up to 1 MiB, "raw", no address, no proofs.
func rawHello(id string) string {
	return rawFrame(1, "podshare\x01\x01"+id+"\xb0\xea\x01"+"\x80\x80\x40"+"\x03raw"+"\x00"+"\x00")
}

// highID makes the other side decide on the connection.
const highID = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// dialRaw connects to a plaintext transport and says hello.
func dialRaw(t *testing.T, a *transport.P2PTransport) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.Addr())
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, rawHello(highID))
	require.NoError(t, err)
	kind, body := readRaw(t, conn)
	require.EqualValues(t, 1, kind)
	require.Equal(t, "podshare\x01\x01", body[:10])
	kind, body = readRaw(t, conn)
	require.EqualValues(t, 2, kind, "use")
	require.NotEmpty(t, body, "with a number")
	return conn
}

// subscribeRaw is dialRaw with a subscription, of number 7. It returns what a said before it knew that.
func subscribeRaw(t *testing.T, a *transport.P2PTransport, topic string) (conn net.Conn, said []string) {
	t.Helper()
	conn = dialRaw(t, a)
	_, err := io.WriteString(conn, rawFrame(3, "\x07"+topic)+rawFrame(6, "")+rawFrame(7, "\x01\x00\x00nothing"))
	require.NoError(t, err)
	for {
		kind, body := readRaw(t, conn)
		if kind == 8 { // the answer to the question comes after all that was asked before
			return conn, said
		}
		said = append(said, string(kind)+body)
	}
}

func readRaw(t *testing.T, conn net.Conn) (kind byte, body string) {
	t.Helper()
	var header [5]byte
	_, err := io.ReadFull(conn, header[:])
	require.NoError(t, err)
	b := make([]byte, binary.BigEndian.Uint32(header[:])-1)
	_, err = io.ReadFull(conn, b)
	require.NoError(t, err)
	return header[4], string(b)
}

func TestP2PSpeaksAsDocumented(t *testing.T) {
	a := openP2P(t, plaintext)
	frames, err := a.Subscribe(t.Context(), "flags")
	require.NoError(t, err)
	require.NoError(t, a.Snapshot(t.Context(), "flags", []byte("snapshot")))
	conn, said := subscribeRaw(t, a, "flags")
	defer conn.Close()
	require.Equal(t, []string{"\x03\x01flags", "\x06"}, said, "what a subscribes to; a ping ends the list")

	_, err = io.WriteString(conn, rawFrame(5, "\x01from raw")+rawFrame(99, "of a newer version"))
	require.NoError(t, err)
	require.Equal(t, "from raw", string(<-frames))

	require.NoError(t, a.Publish(t.Context(), "flags", []byte("from a")))
	kind, body := readRaw(t, conn)
	require.Equal(t, "\x05\x07from a", string(kind)+body, "data, by the number that raw gave the topic")

	_, err = io.WriteString(conn, rawFrame(7, "\x2a\x04\x03flags")) // question 42: 3 bytes from 4 on
	require.NoError(t, err)
	kind, body = readRaw(t, conn)
	require.Equal(t, "\x08\x2a\x04", string(kind)+body[:2])
	require.Equal(t, "sho", body[len(body)-3:])

	_, err = io.WriteString(conn, rawFrame(4, "\x07"))
	require.NoError(t, err)
	eventually(t, func() bool { return a.Alone("flags") }, "unsubscribed")
	require.NoError(t, a.Publish(t.Context(), "flags", []byte("nobody's")))

	closed := make(chan error)
	go func() { closed <- a.Close() }()
	for kind != 9 { // perhaps the end of the subscription first
		kind, body = readRaw(t, conn)
	}
	require.Equal(t, "closing", body)
	require.NoError(t, conn.Close())
	require.NoError(t, <-closed)
}
