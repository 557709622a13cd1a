package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// certificates are what was in the files at one time. Nobody changes them.
type certificates struct {
	own         *tls.Certificate
	authorities *x509.CertPool
	server      *tls.Config // made of both
}

// readCertificates returns what is in the files, and of what cannot be used, the same as in last. The errors of all
// files are in err.
func readCertificates(opts CertificateFilesOptions, last certificates) (now certificates, err error) {
	now = last
	pair, err := readPair(opts.CertFile, opts.KeyFile)
	if err != nil {
		err = fmt.Errorf("certificates: %s and %s: %w", opts.CertFile, opts.KeyFile, err)
	} else {
		now.own = &pair
	}
	authorities, caErr := readAuthorities(opts.CAFile)
	if caErr != nil {
		err = errors.Join(err, fmt.Errorf("certificates: authorities in %s: %w", opts.CAFile, caErr))
	} else {
		now.authorities = authorities
	}
	if now.own != nil && now.authorities != nil {
		now.server = newServerConfig(now.own, now.authorities)
	}
	return now, err
}

func newServerConfig(own *tls.Certificate, authorities *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{*own},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              authorities,
		SessionTicketsDisabled: true,
	}
}

func readPair(certFile, keyFile string) (pair tls.Certificate, err error) {
	cert, _, err := readPEM(certFile)
	if err != nil {
		return pair, err
	}
	key, _, err := readPEM(keyFile)
	if err != nil {
		return pair, err
	}
	return tls.X509KeyPair(cert, key)
}

func readAuthorities(path string) (*x509.CertPool, error) {
	_, blocks, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %s among them", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
	}
	return pool, nil
}

// readPEM returns what is in a file, and its blocks, of which there is at least one. A block that cannot be read is an
// error: the certificates in it would just be missing.
func readPEM(path string) (content []byte, blocks []*pem.Block, err error) {
	if content, err = os.ReadFile(path); err != nil { //nolint:gosec // the caller's option
		return nil, nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	// Decode passes over what it cannot read.
	if begun := bytes.Count(content, []byte("-----BEGIN")); len(blocks) == 0 || len(blocks) != begun {
		return nil, nil, fmt.Errorf("%d of %d PEM blocks in %s can be read", len(blocks), begun, path)
	}
	return content, blocks, nil
}
