package transport_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// errorLog collects what an error handler hears.
type errorLog struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// heard reports whether an error wraps target and says text.
func (l *errorLog) heard(target error, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errs {
		if (target == nil || errors.Is(err, target)) && strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

func (l *errorLog) option(o *transport.P2POptions) { o.OnError = l.add }

func secret(s ...string) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) {
		o.Secret, o.MoreSecrets = []byte(s[0]), nil
		for _, more := range s[1:] {
			o.MoreSecrets = append(o.MoreSecrets, []byte(more))
		}
	}
}

// refused opens a transport that b dials, which must not get in, and returns what each has to say.
func refused(t *testing.T, aOptions, bOptions func(o *transport.P2POptions)) (listens, dials *errorLog) {
	t.Helper()
	listens, dials = new(errorLog), new(errorLog)
	a := openP2P(t, aOptions, listens.option)
	b := openP2P(t, bOptions, dials.option, to(a))
	eventually(t, func() bool { return dials.heard(nil, "") && a.Stats().Refused > 0 && listens.heard(nil, "") }, "refused")
	require.Empty(t, a.Stats().Peers)
	require.Empty(t, b.Stats().Peers)
	return listens, dials
}

func TestP2PWrongSecretIsRefused(t *testing.T) {
	listens, dials := refused(t, secret("the one of the fleet"), secret("the one of another"))
	require.True(t, listens.heard(transport.ErrPeerUnauthenticated, "no secret known here"))
	require.True(t, dials.heard(nil, "no proof of a secret"), "the other side says why: %v", dials.errs)
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
	require.True(t, dials.heard(nil, "may not speak it"), "%v", dials.errs)
	listens, _ := refused(t, plaintext, secret(testSecret))
	require.True(t, listens.heard(nil, "the other side speaks TLS"), "%v", listens.errs)
	_, dials = refused(t, secret(testSecret), plaintext)
	require.True(t, dials.heard(nil, "it may want TLS"), "%v", dials.errs)
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

// authority signs certificates.
type authority struct {
	pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a := &authority{pool: x509.NewCertPool(), key: key}
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate for loopback that is good until then.
func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func certified(c *tls.Config) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) { o.Secret, o.TLSConfig = nil, c }
}

func TestP2PCertificates(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	good := func(name string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{ours.issue(t, name, soon)}, RootCAs: ours.pool}
	}
	a := openP2P(t, certified(good("pod-a")))
	connected(t, a, openP2P(t, certified(good("pod-b")), to(a)))

	for name, c := range map[string]*tls.Config{
		"foreign": {Certificates: []tls.Certificate{foreign.issue(t, "pod-b", soon)}, RootCAs: ours.pool},
		"expired": {Certificates: []tls.Certificate{ours.issue(t, "pod-b", time.Now().Add(-time.Minute))}, RootCAs: ours.pool},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, certified(good("pod-a")), certified(c)) // it dials
			refused(t, certified(c), certified(good("pod-a"))) // it is dialled
		})
	}
	t.Run("none", func(t *testing.T) {
		log := new(errorLog)
		a := openP2P(t, certified(good("pod-a")), log.option)
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: ours.pool, ServerName: "pod-a"}}).DialContext(t.Context(), "tcp", a.Addr())
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
		require.True(t, listens.heard(transport.ErrPeerUnauthenticated, "pod-c is not welcome"), "%v", listens.errs)
	})
	t.Run("and a secret", func(t *testing.T) {
		both := func(s string) func(o *transport.P2POptions) {
			return func(o *transport.P2POptions) { o.TLSConfig, o.Secret = good("pod"), []byte(s) }
		}
		a := openP2P(t, both(testSecret))
		connected(t, a, openP2P(t, both(testSecret), to(a)))
		listens, _ := refused(t, both(testSecret), both("another one that is long"))
		require.True(t, listens.heard(transport.ErrPeerUnauthenticated, ""), "%v", listens.errs)
	})
}

func TestP2PWrongOptionsAreRefused(t *testing.T) {
	ca := newAuthority(t)
	certificates := []tls.Certificate{ca.issue(t, "pod", time.Now().Add(time.Hour))}
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
		"no certificate":               {TLSConfig: &tls.Config{RootCAs: ca.pool}},
		"needs RootCAs":                {TLSConfig: &tls.Config{Certificates: certificates}},
		"takes any client certificate": {TLSConfig: &tls.Config{Certificates: certificates, RootCAs: ca.pool, ClientAuth: tls.RequireAnyClientCert}},
		"listen":                       {Listen: "not an address", Secret: []byte(testSecret)},
	} {
		_, err := transport.NewP2PTransport(o)
		require.ErrorContains(t, err, want)
	}
}

func TestP2PStrangersGiveWayToPeers(t *testing.T) {
	log := new(errorLog)
	a := openP2P(t, log.option, func(o *transport.P2POptions) {
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
	dials := new(errorLog)
	fourth := openP2P(t, to(a), dials.option)
	eventually(t, func() bool { return log.heard(transport.ErrTooManyConnections, "") && dials.heard(nil, "") }, "there is room for three")
	require.NoError(t, peers[0].Close())
	eventually(t, func() bool { return len(fourth.Stats().Peers) == 1 }, "the fourth gets in")
}
