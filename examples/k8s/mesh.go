package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/podshare/podshare/transport"
)

// newMesh returns what connects a replica to the others.
func newMesh(c config, log *slog.Logger) (*transport.P2PTransport, error) {
	o := transport.P2POptions{
		Listen:  net.JoinHostPort(c.mesh, strconv.Itoa(c.meshPort)),
		Node:    c.pod,
		OnError: func(err error) { log.Warn("mesh", "error", err) },
		OnConnect: func(remote string, inbound bool) {
			log.Info("connected", "replica", remote, "inbound", inbound)
		},
		OnDisconnect: func(remote string, inbound bool) {
			log.Info("disconnected", "replica", remote, "inbound", inbound)
		},
	}
	if c.tls == "" {
		o.Secret, o.MoreSecrets = c.secrets[0], c.secrets[1:]
		return transport.NewP2PTransport(o)
	}
	files, err := transport.NewCertificateFiles(transport.CertificateFilesOptions{
		CertFile:   filepath.Join(c.tls, "tls.crt"),
		KeyFile:    filepath.Join(c.tls, "tls.key"),
		CAFile:     filepath.Join(c.tls, "ca.crt"),
		ServerName: c.service, // all replicas show one certificate, which has this name
		OnError:    func(err error) { log.Warn("certificates", "error", err) },
	})
	if err != nil {
		return nil, err
	}
	o.TLSConfig = files.TLSConfig()
	return transport.NewP2PTransport(o)
}

// newDiscoverer returns what finds the other replicas.
func newDiscoverer(c config, log *slog.Logger) transport.Discoverer {
	onError := func(err error) { log.Warn("discovery", "error", err) }
	if c.discover == "kubernetes" {
		return &transport.KubernetesDiscoverer{Service: c.service, Port: c.meshPort, Self: c.ip, OnError: onError}
	}
	return &transport.DNSDiscoverer{
		Host: c.service, Port: c.meshPort, Self: c.ip, OnError: onError, LookupHost: c.lookupHost,
	}
}
