package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()
	a, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	require.NoError(t, err)
	b, err = l.AcceptTCP()
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

func TestEagerWritesDoNotWaitAndLoseNothing(t *testing.T) {
	a, b := tcpPair(t)
	e := newEagerConn(a, time.Hour)
	left := 0
	e.left = func() { left++ }
	e.setPatient(false)
	if e.raw == nil {
		t.Skip("writes wait on this system")
	}
	var want []byte
	for i := byte(0); left < 10; i++ { // nobody reads: a write that waited would wait for ever
		piece := bytes.Repeat([]byte{i}, 10_000)
		n, err := e.Write(piece)
		require.NoError(t, err)
		require.Len(t, piece, n)
		want = append(want, piece...)
	}
	require.True(t, e.kept())
	read := make(chan []byte)
	go func() {
		got, _ := io.ReadAll(b)
		read <- got
	}()
	require.NoError(t, e.Flush())
	require.False(t, e.kept())
	e.setPatient(true)
	_, err := e.Write([]byte("the end"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.True(t, bytes.Equal(append(want, "the end"...), <-read))
}

func TestWriteToAPeerThatTakesNothingEnds(t *testing.T) {
	a, _ := tcpPair(t)
	e := newEagerConn(a, 10*time.Millisecond)
	_, err := e.Write(make([]byte, 16<<20))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}
