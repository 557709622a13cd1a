package transport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// sessions returns the two ends of a TLS session of pods that know the same secret.
func sessions(t *testing.T, s *p2pSecurity) (dialer, listener net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	secured := make(chan net.Conn, 1)
	go func() {
		c, err := s.secure(t.Context(), b, "")
		if err != nil {
			t.Error(err)
		}
		secured <- c
	}()
	dialer, err := s.secure(t.Context(), a, "pod-b:7946")
	require.NoError(t, err)
	return dialer, <-secured
}

func TestP2PProofIsOfOneSessionAndOneSide(t *testing.T) {
	s, err := newP2PSecurity(&P2POptions{Secret: []byte("sixteen bytes or more")})
	require.NoError(t, err)
	dialer, listener := sessions(t, &s)
	_, laterListener := sessions(t, &s)

	proofs, err := s.proofs(dialer, p2pDialerLabel)
	require.NoError(t, err)
	require.NoError(t, s.believe(listener, &p2pGreeting{proofs: proofs}, p2pDialerLabel))
	require.ErrorIs(t, s.believe(laterListener, &p2pGreeting{proofs: proofs}, p2pDialerLabel), ErrPeerUnauthenticated,
		"a recorded proof says nothing in another session")
	require.ErrorIs(t, s.believe(dialer, &p2pGreeting{proofs: proofs}, p2pListenerLabel), ErrPeerUnauthenticated,
		"a listener cannot send the dialer its own proof")
	require.ErrorIs(t, s.believe(listener, &p2pGreeting{}, p2pDialerLabel), ErrPeerUnauthenticated, "no proof")
	require.ErrorIs(t, s.believe(listener, &p2pGreeting{proofs: make([][p2pProofBytes]byte, 4)}, p2pDialerLabel), ErrPeerUnauthenticated, "empty ones")
}

func TestP2PGreetingOfANewerVersionIsRead(t *testing.T) {
	g := p2pGreeting{oldest: 1, newest: 7, node: "pod-a", advertise: ":7946", maxFrame: 1 << 20}
	got, err := parseP2PGreeting(append(g.bytes(), "what version 7 adds"...))
	require.NoError(t, err)
	require.Equal(t, g, got)
	for n := range g.bytes() {
		_, err := parseP2PGreeting(g.bytes()[:n])
		require.ErrorIs(t, err, errP2PMalformed, "the first %d bytes", n)
	}
}

func TestP2PAdvertisedAddressIsCompleted(t *testing.T) {
	seen := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 40000}
	seen6 := &net.TCPAddr{IP: net.ParseIP("fd00::7"), Port: 40000}
	for _, c := range []struct {
		advertised string
		seen       net.Addr
		want       string
	}{
		{":7946", seen, "10.0.0.7:7946"},
		{"[::]:7946", seen, "10.0.0.7:7946"},
		{"0.0.0.0:7946", seen6, "[fd00::7]:7946"},
		{"pod-a.mesh:7946", seen, "pod-a.mesh:7946"},
		{"10.1.1.1:7946", seen, "10.1.1.1:7946"},
		{"", seen, "10.0.0.7:40000"},
		{"nonsense", seen, "10.0.0.7:40000"},
	} {
		require.Equal(t, c.want, p2pAdvertised(c.advertised, c.seen), c.advertised)
	}
}
