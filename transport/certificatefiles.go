package transport

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// defaultCertificateInterval is how long a certificate that was replaced may still be shown.
const defaultCertificateInterval = 10 * time.Second

// CertificateFilesOptions says where the certificates of [NewCertificateFiles] are. All three are needed; CertFile
// and KeyFile may be the same file.
type CertificateFilesOptions struct {
	// CertFile has this pod's certificate in PEM, and after it the intermediate ones. It is shown in both roles: its
	// extended key usage must allow clientAuth and serverAuth.
	CertFile string

	// KeyFile has the private key of the certificate in PEM.
	KeyFile string

	// CAFile has the certificates in PEM of all authorities that may have signed the other pods'. To change to another
	// authority, have both in it until all pods have a certificate of the new one.
	CAFile string

	// ServerName is the name that the certificate of a pod must have, as a DNS name or an IP address, when this pod
	// connects to it: one that all pods' certificates share. Without it the name that was dialled must be in it. That
	// has to be a DNS name: crypto/tls does not tell the IP address that was dialled, so connections to one fail.
	ServerName string

	// Interval is how long a handshake goes without looking at the files again. The default, also for zero and below, is
	// 10 s.
	Interval time.Duration

	// OnError hears of files that cannot be used, unless that is the same as the last time. It runs within a handshake,
	// one call at a time, and should return soon. A panic in it is discarded. By default nobody hears of them.
	OnError func(error)
}

// CertificateFiles are a certificate, its key and the authorities to trust, as they are in files that may be replaced at
// any time. It looks at them when a handshake needs them, at most once an interval: nothing runs in the background, and
// there is nothing to close. Connections that are open stay open.
//
// Certificate and key are replaced together, if they belong together; the authorities on their own. What cannot be
// used, because it is half written or only one of the files has been replaced yet, is reported, and what was there
// before goes on being used.
//
// All methods are safe for concurrent use.
type CertificateFiles struct {
	options CertificateFilesOptions
	now     atomic.Pointer[certificates]

	// reading is the right to read the files, and guards looked and errs. Nobody waits for it: whoever finds it taken
	// uses what there is. So it may be held while a disk or OnError takes its time.
	reading sync.Mutex
	looked  time.Time // when the files were read last
	errs    errorNews
}

// NewCertificateFiles reads the files. It fails if one cannot be used, and returns why.
func NewCertificateFiles(opts CertificateFilesOptions) (*CertificateFiles, error) {
	opts.Interval = intervalOr(opts.Interval, defaultCertificateInterval)
	if opts.CertFile == "" || opts.KeyFile == "" || opts.CAFile == "" {
		return nil, errors.New("certificates: CertFile, KeyFile and CAFile are needed")
	}
	f := &CertificateFiles{options: opts, looked: time.Now(), errs: errorNews{handler: opts.OnError}}
	now, err := readCertificates(opts, certificates{})
	if err != nil {
		return nil, err
	}
	f.now.Store(&now)
	return f, nil
}

// TLSConfig returns a configuration for mutual TLS, version 1.3 at least, for both ends of a connection. Its certificate
// and the authorities that it trusts are those in the files at the time of a handshake. Each peer has to show a
// certificate that one of them has signed for its role, and that is valid now; a server's must have the name, see
// ServerName. No session is resumed, so this is checked for every connection.
//
// A server takes everything from its GetConfigForClient, so what the caller sets beside, as NextProtos, holds for a
// client only.
func (f *CertificateFiles) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: f.options.ServerName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return f.current().own, nil
		},
		InsecureSkipVerify: true, //nolint:gosec // RootCAs cannot change: verifyServer does the same with those of now
		VerifyConnection:   f.verifyServer,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return f.current().server, nil
		},
	}
}

// verifyServer is what crypto/tls does by default.
func (f *CertificateFiles) verifyServer(state tls.ConnectionState) error {
	name := cmp.Or(f.options.ServerName, state.ServerName)
	if name == "" {
		return errors.New("certificates: CertificateFilesOptions.ServerName is needed to connect to an IP address")
	}
	opts := x509.VerifyOptions{
		Roots:         f.current().authorities,
		DNSName:       name,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Intermediates: x509.NewCertPool(),
	}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// current returns what is in the files, as of an interval ago or later.
func (f *CertificateFiles) current() *certificates {
	if f.reading.TryLock() {
		defer f.reading.Unlock()
		if now := time.Now(); now.Sub(f.looked) >= f.options.Interval {
			f.looked = now
			read, err := readCertificates(f.options, *f.now.Load())
			f.now.Store(&read)
			f.errs.report(err)
		}
	}
	return f.now.Load()
}
