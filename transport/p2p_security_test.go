package transport_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// heard reports whether an error wraps target and says text.
func (r *reports) heard(target error, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.list, func(err error) bool {
		return (target == nil || errors.Is(err, target)) && strings.Contains(err.Error(), text)
	})
}

func reportTo(r *reports) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) { o.OnError = r.add }
}

func secret(s ...string) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) {
		o.Secret, o.MoreSecrets = []byte(s[0]), nil
		for _, more := range s[1:] {
			o.MoreSecrets = append(o.MoreSecrets, []byte(more))
		}
	}
}

// refused opens a transport that b dials, which must not get in, and returns what each has to say.
func refused(t *testing.T, aOptions, bOptions func(o *transport.P2POptions)) (listens, dials *reports) {
	t.Helper()
	listens, dials = new(reports), new(reports)
	a := openP2P(t, aOptions, reportTo(listens))
	b := openP2P(t, bOptions, reportTo(dials), to(a))
	eventually(t, func() bool { return dials.heard(nil, "") && a.Stats().Refused > 0 && listens.heard(nil, "") }, "refused")
	require.Empty(t, a.Stats().Peers)
	require.Empty(t, b.Stats().Peers)
	return listens, dials
}

func TestP2PWrongSecretIsRefused(t *testing.T) {
	listens, dials := refused(t, secret("the one of the fleet"), secret("the one of another"))
	require.True(t, listens.heard(transport.ErrPeerUnauthenticated, "no secret known here"))
	require.True(t, dials.heard(nil, "no proof of a secret"), "the other side says why: %v", dials.all())
}

func TestP2PSecretIsReplacedWithoutAPause(t *testing.T) {
	const before, after = "the secret of last year", "the secret of this year"
	a := openP2P(t, secret(before))
	b := openP2P(t, secret(before, after), to(a))
	connected(t, a, b)
	c := openP2P(t, secret(after), to(b))
	eventually(t, func() bool { return len(b.Stats().Peers) == 2 }, "b knows both")
	eventually(t, func() bool { return len(c.Stats().Peers) == 1 }, "c knows b")
}

func TestP2PSidesThatDifferInSecuritySayWhy(t *testing.T) {
	_, dials := refused(t, plaintext, secret(testSecret))
	require.True(t, dials.heard(nil, "may not speak it"), "%v", dials.all())
	listens, _ := refused(t, plaintext, secret(testSecret))
	require.True(t, listens.heard(nil, "the other side speaks TLS"), "%v", listens.all())
	_, dials = refused(t, secret(testSecret), plaintext)
	require.True(t, dials.heard(nil, "it may want TLS"), "%v", dials.all())
}

func TestP2PWarnsOnceOfPlaintext(t *testing.T) {
	var log bytes.Buffer
	logger := func(o *transport.P2POptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
	a := newP2P(t, plaintext, logger)
	b := newP2P(t, plaintext, to(a))
	connected(t, a, b)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	require.Equal(t, 1, strings.Count(log.String(), "plaintext"))
	log.Reset()
	require.NoError(t, newP2P(t, logger).Close())
	require.Empty(t, log.String(), "with a secret")
}

func certified(c *tls.Config) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) { o.Secret, o.TLSConfig = nil, c }
}

func TestP2PCertificates(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	config := func(ca *authority, change func(c *x509.Certificate)) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.issue(change).tls(t)}, RootCAs: ours.pool()}
	}
	good := func(name string) *tls.Config {
		return config(ours, func(c *x509.Certificate) { c.DNSNames = []string{name} })
	}
	a := openP2P(t, certified(good("pod-a")))
	connected(t, a, openP2P(t, certified(good("pod-b")), to(a)))

	for name, c := range map[string]*tls.Config{
		"foreign":        config(foreign, func(*x509.Certificate) {}),
		"expired":        config(ours, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"another host's": config(ours, func(c *x509.Certificate) { c.IPAddresses = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, certified(c), certified(good("pod-a"))) // it is dialled
			if name != "another host's" {                      // of who dials no name is asked
				refused(t, certified(good("pod-a")), certified(c))
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		log := new(reports)
		a := openP2P(t, certified(good("pod-a")), reportTo(log))
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: ours.pool(), ServerName: "pod-a"}}).DialContext(t.Context(), "tcp", a.Addr())
		require.NoError(t, err, "the client has said all, the server has not answered yet")
		defer conn.Close()
		_, _ = io.WriteString(conn, rawHello(highID))
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		eventually(t, func() bool { return log.heard(nil, "certificate") }, "refused")
		require.Empty(t, a.Stats().Peers)
	})
	t.Run("unauthorised", func(t *testing.T) {
		listens, _ := refused(t, func(o *transport.P2POptions) {
			certified(good("pod-a"))(o)
			o.AuthorizePeer = func(s tls.ConnectionState) error {
				if name := s.PeerCertificates[0].DNSNames[0]; name != "pod-b" {
					return errors.New(name + " is not welcome")
				}
				return nil
			}
		}, certified(good("pod-c")))
		require.True(t, listens.heard(transport.ErrPeerUnauthenticated, "pod-c is not welcome"), "%v", listens.all())
	})
	t.Run("and a secret", func(t *testing.T) {
		both := func(s string) func(o *transport.P2POptions) {
			return func(o *transport.P2POptions) { o.TLSConfig, o.Secret = good("pod"), []byte(s) }
		}
		a := openP2P(t, both(testSecret))
		connected(t, a, openP2P(t, both(testSecret), to(a)))
		listens, _ := refused(t, both(testSecret), both("another one that is long"))
		require.True(t, listens.heard(transport.ErrPeerUnauthenticated, ""), "%v", listens.all())
	})
}

// A hook that looks at a certificate is not asked about a peer that has none, and a panic of it lets nobody in.
func TestP2PAuthorizePeerIsAskedAboutCertificates(t *testing.T) {
	ca := newAuthority(t, "ca")
	config := func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ca.issue().tls(t)}, RootCAs: ca.pool()}
	}
	certifiedAndSecret := func(hook func(tls.ConnectionState) error) func(o *transport.P2POptions) {
		return func(o *transport.P2POptions) { o.TLSConfig, o.AuthorizePeer = config(), hook }
	}
	log := new(reports)
	a := openP2P(t, reportTo(log), certifiedAndSecret(func(s tls.ConnectionState) error {
		_ = s.PeerCertificates[0]
		return nil
	}))
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: ca.pool(), ServerName: "mesh"}}).DialContext(t.Context(), "tcp", a.Addr())
	require.NoError(t, err)
	defer conn.Close()
	eventually(t, func() bool { return log.heard(transport.ErrPeerUnauthenticated, "no certificate") }, "refused")

	listens, _ := refused(t, func(o *transport.P2POptions) {
		certified(config())(o)
		o.AuthorizePeer = func(tls.ConnectionState) error { panic("no") }
	}, certified(config()))
	require.True(t, listens.heard(transport.ErrPeerUnauthenticated, "panicked"), "%v", listens.all())
}

// What GetConfigForClient returns is held to the same rules.
func TestP2PGetConfigForClientIsAsStrict(t *testing.T) {
	ours, foreign := newAuthority(t, "ours"), newAuthority(t, "foreign")
	own := []tls.Certificate{ours.issue().tls(t)}
	lax := &tls.Config{Certificates: own, RootCAs: ours.pool(), GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: own, ClientCAs: ours.pool(), ClientAuth: tls.RequestClientCert}, nil
	}}
	a := openP2P(t, certified(lax))
	connected(t, a, openP2P(t, certified(&tls.Config{Certificates: own, RootCAs: ours.pool()}), to(a)))
	refused(t, certified(lax), certified(&tls.Config{Certificates: []tls.Certificate{foreign.issue().tls(t)}, RootCAs: ours.pool()}))
	old := &tls.Config{RootCAs: ours.pool(), ServerName: "mesh", MaxVersion: tls.VersionTLS12, Certificates: own} //nolint:gosec // to be refused
	_, err := (&tls.Dialer{Config: old}).DialContext(t.Context(), "tcp", a.Addr())
	require.ErrorContains(t, err, "protocol version")
}

func TestP2PSecretIsCopied(t *testing.T) {
	wiped := []byte(testSecret)
	a := openP2P(t, func(o *transport.P2POptions) { o.Secret = wiped })
	clear(wiped)
	connected(t, a, openP2P(t, to(a)))
}

func TestP2PWrongOptionsAreRefused(t *testing.T) {
	ca := newAuthority(t, "ca")
	certificates := []tls.Certificate{ca.issue().tls(t)}
	for want, o := range map[string]transport.P2POptions{
		"at least 16":                  {Secret: []byte("too short")},
		"without a Secret":             {MoreSecrets: [][]byte{[]byte(testSecret)}},
		"without a TLSConfig":          {Secret: []byte(testSecret), AuthorizePeer: func(tls.ConnectionState) error { return nil }},
		"DialTimeout is -1s":           {DialTimeout: -time.Second},
		"SendQueueDepth is -1":         {SendQueueDepth: -1},
		"at least 100ms":               {KeepAlivePeriod: time.Millisecond},
		"at most 1 GiB":                {MaxFrameBytes: 1<<30 + 1},
		`address "nowhere"`:            {Peers: []string{"nowhere"}},
		`address ""`:                   {Peers: []string{""}},
		"no certificate":               {TLSConfig: &tls.Config{RootCAs: ca.pool()}},
		"needs RootCAs":                {TLSConfig: &tls.Config{Certificates: certificates}},
		"InsecureSkipVerify":           {TLSConfig: &tls.Config{Certificates: certificates, RootCAs: ca.pool(), InsecureSkipVerify: true}}, //nolint:gosec // to be refused
		"takes any client certificate": {TLSConfig: &tls.Config{Certificates: certificates, RootCAs: ca.pool(), ClientAuth: tls.RequireAnyClientCert}},
		"listen":                       {Listen: "not an address", Secret: []byte(testSecret)},
	} {
		_, err := transport.NewP2PTransport(o)
		require.ErrorContains(t, err, want)
	}
}

func TestP2PStrangersGiveWayToPeers(t *testing.T) {
	log := new(reports)
	a := openP2P(t, reportTo(log), func(o *transport.P2POptions) {
		o.MaxConnectionsPerAddress, o.DialTimeout = 3, time.Hour
	})
	for range 20 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", a.Addr())
		require.NoError(t, err)
		defer conn.Close()
	}
	var peers []*transport.P2PTransport
	for range 3 {
		peers = append(peers, openP2P(t, to(a)))
		eventually(t, func() bool { return len(a.Stats().Peers) == len(peers) }, "a peer gets in")
	}
	dials := new(reports)
	fourth := openP2P(t, to(a), reportTo(dials))
	eventually(t, func() bool { return log.heard(transport.ErrTooManyConnections, "") && dials.heard(nil, "") }, "there is room for three")
	require.NoError(t, peers[0].Close())
	eventually(t, func() bool { return len(fourth.Stats().Peers) == 1 }, "the fourth gets in")
}
