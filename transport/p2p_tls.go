package transport

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"syscall"
	"time"
)

// p2pSecurity is what a mesh does before it talks to a stranger. The zero value does nothing.
type p2pSecurity struct {
	server, client *tls.Config // nil: plaintext
	certified      bool        // a peer must show a certificate
	authorize      func(tls.ConnectionState) error
	secrets        [][]byte
}

func newP2PSecurity(o *P2POptions) (s p2pSecurity, err error) {
	s.authorize, s.secrets = o.AuthorizePeer, o.secrets()
	switch {
	case o.TLSConfig != nil:
		s.certified = s.secrets == nil
		s.server, s.client, err = p2pCertified(o.TLSConfig, s.certified)
	case s.secrets != nil:
		s.server, s.client, err = p2pAnonymous()
	}
	return s, err
}

// p2pCertified returns what config means for either role.
func p2pCertified(config *tls.Config, certified bool) (server, client *tls.Config, err error) {
	client = config.Clone()
	client.MinVersion = max(client.MinVersion, tls.VersionTLS13)
	if client.RootCAs == nil {
		client.RootCAs = client.ClientCAs
	}
	judges := p2pJudges(client)
	switch {
	case certified && len(client.Certificates) == 0 && client.GetClientCertificate == nil:
		return nil, nil, errors.New("p2p: P2POptions.TLSConfig has no certificate for the role of a client")
	case certified && client.RootCAs == nil && !judges:
		return nil, nil, errors.New("p2p: P2POptions.TLSConfig needs RootCAs or ClientCAs: else every certificate that this host trusts would do")
	case certified && client.InsecureSkipVerify && !judges:
		return nil, nil, errors.New("p2p: P2POptions.TLSConfig has InsecureSkipVerify and no VerifyConnection: any server would do")
	}
	if given := config.GetConfigForClient; given != nil {
		server = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := given(hello)
			if err != nil {
				return nil, err
			}
			return p2pServer(cmp.Or(c, config), certified)
		}}
		return server, client, nil
	}
	server, err = p2pServer(config, certified)
	return server, client, err
}

// p2pServer returns what config means for a server.
func p2pServer(config *tls.Config, certified bool) (*tls.Config, error) {
	c := config.Clone()
	c.GetConfigForClient = nil // was asked
	c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	c.SessionTicketsDisabled = true // one would let a peer in again whose certificate has expired meanwhile
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	judges := p2pJudges(c)
	if certified && (c.ClientAuth < tls.RequireAnyClientCert || c.ClientAuth == tls.VerifyClientCertIfGiven) {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	switch {
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return nil, errors.New("p2p: P2POptions.TLSConfig has no certificate for the role of a server")
	case certified && c.ClientCAs == nil && !judges:
		return nil, errors.New("p2p: P2POptions.TLSConfig needs RootCAs or ClientCAs: else every certificate that this host trusts would do")
	case certified && c.ClientAuth == tls.RequireAnyClientCert && !judges:
		return nil, errors.New("p2p: P2POptions.TLSConfig takes any client certificate: ClientAuth must be RequireAndVerifyClientCert")
	}
	return c, nil
}

// p2pJudges reports whether the program itself judges certificates.
func p2pJudges(c *tls.Config) bool {
	return c.VerifyPeerCertificate != nil || c.VerifyConnection != nil
}

// p2pAnonymous returns configurations for TLS in which nobody is known: the secret says who is a peer.
func p2pAnonymous() (server, client *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("p2p: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(100 * 365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, fmt.Errorf("p2p: %w", err)
	}
	server = &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	client = &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent before the server has proved that it knows the secret, see p2pHandshake
	}
	return server, client, nil
}

// secure returns a connection on which both sides know who the other is, as far as certificates tell. dialled is the
// address that was dialled, empty for who was.
func (s *p2pSecurity) secure(ctx context.Context, nc net.Conn, dialled string) (net.Conn, error) {
	if s.server == nil {
		return nc, nil
	}
	var c *tls.Conn
	if dialled == "" {
		c = tls.Server(nc, s.server)
	} else {
		config := s.client
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(dialled) // it could be dialled
		}
		c = tls.Client(nc, config)
	}
	if err := c.HandshakeContext(ctx); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = fmt.Errorf("the other side may not speak it: %w", err)
		}
		return nil, fmt.Errorf("TLS: %w", err)
	}
	state := c.ConnectionState()
	if err := s.welcome(state); err != nil {
		_, _ = c.Write(appendP2PFrame(nil, p2pBye, []byte("refused: not authorised"))) // so that its log says why
		return nil, fmt.Errorf("%w: %w", ErrPeerUnauthenticated, err)
	}
	return c, nil
}

// welcome says why a peer is refused for its certificate, which TLS has found good.
func (s *p2pSecurity) welcome(state tls.ConnectionState) (err error) {
	switch {
	case len(state.PeerCertificates) == 0 && (s.certified || s.authorize != nil):
		return errors.New("it has no certificate")
	case s.authorize == nil:
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("AuthorizePeer panicked: %v", p)
		}
	}()
	return s.authorize(state)
}
