package transport

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

const (
	defaultP2PDialTimeout     = 5 * time.Second
	defaultP2PReconnect       = 5 * time.Second
	defaultP2PSnapshotTimeout = 2 * time.Second
	defaultP2PKeepAlive       = 30 * time.Second
	defaultP2PQueueFrames     = 1024
	defaultP2PQueueBytes      = 64 << 20
	defaultP2PMaxFrame        = 32 << 20
	defaultP2PMaxConnections  = 1024
	defaultP2PMaxPerAddress   = 256

	p2pSecretLeast = 16 // bytes
)

// P2POptions configures a [P2PTransport]. The zero value of each field is its default. Pods of a mesh agree on TLSConfig
// and Secret; everything else may differ.
type P2POptions struct {
	// Listen is the address at which other pods reach this one, as net.Listen takes it: ":7946", "10.0.0.7:7946",
	// "127.0.0.1:0". Empty: nobody can, it only dials.
	Listen string

	// Peers are addresses, host:port each, to connect to from the start, and again whenever a connection is lost. They may
	// contain this pod's own address, which it notices. See also [P2PTransport.AddPeer] and [SyncPeers].
	Peers []string

	// Advertise is the address at which this pod tells the others to know it, in statistics and by RemovePeer. The default is
	// the host that they see, with the port of Listen.
	Advertise string

	// Node names this pod in the others' statistics and errors, at most 255 bytes. The default is the host's name.
	Node string

	// DialTimeout bounds connecting to a peer, and the handshake on either side. The default is 5 s.
	DialTimeout time.Duration

	// ReconnectInterval is the longest pause between two attempts to connect to a peer. The first follow sooner: the pauses
	// double, from 50 ms, each at random between half and all. The default is 5 s.
	ReconnectInterval time.Duration

	// SnapshotTimeout is how long FetchSnapshot waits for peers that do not answer. The default is 2 s.
	SnapshotTimeout time.Duration

	// KeepAlivePeriod is after which time, and up to a third more, a peer that says nothing is taken for dead, or one that
	// takes nothing of what it is sent; its connection is closed and made anew. Idle peers send 5 bytes every third of it. The default is 30 s; pods
	// whose periods differ take the longer. At least 100 ms.
	KeepAlivePeriod time.Duration

	// SendQueueDepth is how many frames wait for one peer, and how many for the reader of a subscription; SendQueueBytes is
	// how many bytes. What is more is dropped, counted and reported; stores repair it. The defaults are 1,024 and 64 MiB.
	SendQueueDepth, SendQueueBytes int

	// MaxFrameBytes is the largest frame to publish and to take. The default is 32 MiB, and 1 GiB the most. It has to be
	// larger than the stores' Limits.FrameBytes.
	MaxFrameBytes int

	// MaxConnections bounds how many connections others have made to this pod, MaxConnectionsPerAddress how many of these come
	// from one IP address; those whose handshake is not over count. At the limit, the oldest of the latter gives way; if
	// there is none, the new connection is refused. The defaults are 1,024 and 256.
	MaxConnections, MaxConnectionsPerAddress int

	// TLSConfig makes all connections speak TLS 1.3, in both roles: it needs Certificates, or GetCertificate and
	// GetClientCertificate, RootCAs to know servers and ClientCAs to know clients; if one of the two is nil it is the
	// other. Without a Secret both sides must show a certificate. The name that a peer's certificate must have is
	// ServerName, or else the host that was dialled. [NewCertificateFiles] has one whose certificates can be replaced.
	TLSConfig *tls.Config

	// AuthorizePeer is asked about each peer whose certificate TLSConfig has found good; its error, or panic, refuses the peer,
	// and so does the lack of a certificate. Several connections may ask at once. By default all are welcome.
	AuthorizePeer func(tls.ConnectionState) error

	// Secret, at least 16 bytes, is what all pods of the mesh know and nobody else. They must be random: whoever is dialled
	// can guess at a secret that a person has thought up. Without a TLSConfig,
	// connections are TLS 1.3 with certificates that nobody looks at; each side then proves the secret for that very
	// session (HMAC-SHA256 of the session's exported key, RFC 5705). MoreSecrets are believed too and proved as well: to
	// replace a secret, first give all pods both, then the new one alone.
	Secret      []byte
	MoreSecrets [][]byte

	// OnError hears of peers that cannot be reached (each time with another error than before), of refused connections (once
	// a second at most), lost ones, and the first of a row of dropped frames, which wraps [ErrQueueFull]. Several goroutines may call it at once. It
	// should return soon and must not close the transport. By default nobody hears of them.
	OnError func(error)

	// OnConnect and OnDisconnect are called when a pod gets connected, by whichever side, and when it is no more. remote is the
	// address that was dialled or, inbound, the one that the pod advertises. Each pod's calls are in order. They should
	// return soon and must not close the transport.
	OnConnect, OnDisconnect func(remote string, inbound bool)

	// Logger hears, once, that neither TLSConfig nor Secret is set, so that anybody can read and write. The default is
	// slog.Default().
	Logger *slog.Logger
}

// normalized returns the options with their defaults, or what is wrong with them.
func (o P2POptions) normalized() (P2POptions, error) {
	if o.Node == "" {
		o.Node, _ = os.Hostname() // the name is for people: none is no error
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		preset time.Duration
	}{
		{"DialTimeout", &o.DialTimeout, defaultP2PDialTimeout},
		{"ReconnectInterval", &o.ReconnectInterval, defaultP2PReconnect},
		{"SnapshotTimeout", &o.SnapshotTimeout, defaultP2PSnapshotTimeout},
		{"KeepAlivePeriod", &o.KeepAlivePeriod, defaultP2PKeepAlive},
	} {
		if *d.value < 0 {
			return o, fmt.Errorf("p2p: P2POptions.%s is %v", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.preset
		}
	}
	for _, n := range []struct {
		name   string
		value  *int
		preset int
	}{
		{"SendQueueDepth", &o.SendQueueDepth, defaultP2PQueueFrames},
		{"SendQueueBytes", &o.SendQueueBytes, defaultP2PQueueBytes},
		{"MaxFrameBytes", &o.MaxFrameBytes, defaultP2PMaxFrame},
		{"MaxConnections", &o.MaxConnections, defaultP2PMaxConnections},
		{"MaxConnectionsPerAddress", &o.MaxConnectionsPerAddress, defaultP2PMaxPerAddress},
	} {
		if *n.value < 0 {
			return o, fmt.Errorf("p2p: P2POptions.%s is %d", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.preset
		}
	}
	switch {
	case o.KeepAlivePeriod < 100*time.Millisecond:
		return o, fmt.Errorf("p2p: P2POptions.KeepAlivePeriod is %v, at least 100ms is needed", o.KeepAlivePeriod)
	case o.MaxFrameBytes > 1<<30:
		return o, fmt.Errorf("p2p: P2POptions.MaxFrameBytes is %d, at most 1 GiB is possible", o.MaxFrameBytes)
	case len(o.Node) > 255:
		return o, fmt.Errorf("p2p: P2POptions.Node has %d bytes, at most 255 are possible", len(o.Node))
	case len(o.Advertise) > 255:
		return o, fmt.Errorf("p2p: P2POptions.Advertise has %d bytes, at most 255 are possible", len(o.Advertise))
	case o.Secret == nil && o.MoreSecrets != nil:
		return o, errors.New("p2p: P2POptions has MoreSecrets without a Secret")
	case len(o.MoreSecrets) >= p2pProofsMost:
		return o, fmt.Errorf("p2p: P2POptions has %d MoreSecrets, at most %d are possible", len(o.MoreSecrets), p2pProofsMost-1)
	case o.AuthorizePeer != nil && o.TLSConfig == nil:
		return o, errors.New("p2p: P2POptions has an AuthorizePeer without a TLSConfig")
	}
	for _, secret := range o.secrets() {
		if len(secret) < p2pSecretLeast {
			return o, fmt.Errorf("p2p: a secret has %d bytes, at least %d are needed", len(secret), p2pSecretLeast)
		}
	}
	for _, addr := range append([]string{cmp.Or(o.Advertise, ":0")}, o.Peers...) {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return o, fmt.Errorf("p2p: address %q: %w", addr, err)
		}
	}
	return o, nil
}

// secrets returns all secrets, the one to prefer first.
func (o P2POptions) secrets() [][]byte {
	if o.Secret == nil {
		return nil
	}
	secrets := [][]byte{bytes.Clone(o.Secret)} // the caller may wipe its own
	for _, more := range o.MoreSecrets {
		secrets = append(secrets, bytes.Clone(more))
	}
	return secrets
}
