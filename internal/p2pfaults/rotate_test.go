//go:build linux

package p2pfaults

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// The certificates of all pods are replaced, and then the authority, too, while connections break again and again: each
// new one is made with what is in the files at that moment. No pod starts anew, and none refuses another.
func TestFleetSurvivesRotatedCertificates(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	replace := func(name string, content ...[]byte) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path+".new", bytes.Join(content, nil), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	// Certificate and key are one file here, which is replaced in one go.
	own := func(by *authority) {
		certificate, key := by.issue(time.Now().Add(time.Hour))
		replace("own.pem", certificate, key)
	}
	replace("authorities.pem", first.pem())
	own(first)

	f := newFleet(t, 3)
	f.change = append(f.change, func(_ *config, o *transport.P2POptions) {
		files, err := transport.NewCertificateFiles(transport.CertificateFilesOptions{
			CertFile: filepath.Join(dir, "own.pem"), KeyFile: filepath.Join(dir, "own.pem"), CAFile: filepath.Join(dir, "authorities.pem"),
			ServerName: meshName, Interval: time.Nanosecond,
		})
		require.NoError(t, err)
		o.Secret, o.TLSConfig = nil, files.TLSConfig()
	})
	f.behindProxies()
	pods := []*pod{f.start(0), f.start(1), f.start(2)}
	f.begin()
	for _, step := range []func(){
		func() { own(first) },
		func() { replace("authorities.pem", first.pem(), second.pem()) },
		func() { own(second) },
		func() { replace("authorities.pem", second.pem()) },
		func() { own(second) },
	} {
		step()
		stepped := time.Now()
		for _, p := range f.proxies {
			p.reset()
		}
		await(t, "new connections", pods, func(p *pod) bool {
			peers := p.transport.Stats().Peers
			return len(peers) == 2 && !slices.ContainsFunc(peers, func(s transport.P2PPeerStats) bool { return s.Since.Before(stepped) })
		})
		f.awaitWrites(60)
	}
	for _, p := range pods {
		require.False(t, p.heard(func(err error) bool { return strings.Contains(err.Error(), "certificate") }), "a certificate was refused")
	}
	f.refuses(t, func(o *transport.P2POptions) {
		o.Secret, o.TLSConfig = nil, second.config(first, time.Now().Add(time.Hour))
	})
	f.settle()
}
