package transport_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// handshake connects both and passes a byte on. It returns which certificate each has shown to the other.
func handshake(client, server *tls.Config) (shown handshaken, clientErr, serverErr error) {
	c, s := bufferedPipe()
	accepted := make(chan error)
	go func() {
		conn := tls.Server(s, server)
		defer s.Close()
		_, err := conn.Write([]byte{1})
		if err == nil {
			shown.byClient = conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
		}
		accepted <- err
	}()
	conn := tls.Client(c, client)
	_, clientErr = conn.Read(make([]byte, 1))
	if clientErr == nil {
		shown.byServer = conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	_ = c.Close() // the byte is all there is
	return shown, clientErr, <-accepted
}

// halfPipe is one end of a connection that, unlike net.Pipe, takes what nobody reads: both ends may say at once why
// they end it. It has no more methods than a handshake uses.
type halfPipe struct {
	net.Conn
	in   <-chan []byte
	out  chan<- []byte // closed by Close
	rest []byte        // of what was received last
}

func bufferedPipe() (a, b *halfPipe) {
	ab, ba := make(chan []byte, 100), make(chan []byte, 100)
	return &halfPipe{in: ba, out: ab}, &halfPipe{in: ab, out: ba}
}

func (p *halfPipe) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		var open bool
		if p.rest, open = <-p.in; !open {
			return 0, io.EOF
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *halfPipe) Write(b []byte) (int, error) {
	p.out <- bytes.Clone(b)
	return len(b), nil
}

func (p *halfPipe) Close() error {
	close(p.out)
	return nil
}

type handshaken struct{ byClient, byServer string }

// wantShown checks what a and b show each other, in both roles.
func wantShown(t *testing.T, a, b *tls.Config, byA, byB issued) {
	t.Helper()
	got, clientErr, serverErr := handshake(a, b)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.Equal(t, handshaken{byA.serial(t), byB.serial(t)}, got)
	got, clientErr, serverErr = handshake(b, a)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.Equal(t, handshaken{byB.serial(t), byA.serial(t)}, got)
}

// wantRefused checks that no byte gets through, and who says why.
func wantRefused(t *testing.T, client, server *tls.Config, byClient, byServer string) {
	t.Helper()
	_, clientErr, serverErr := handshake(client, server)
	require.ErrorContains(t, clientErr, byClient)
	require.ErrorContains(t, serverErr, byServer)
}
