package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseConfig(t *testing.T) {
	base := config{
		serve: true, http: ":8080", meshPort: 7946, service: "flags-mesh", discover: "dns",
		pod: "flags-1", ip: "10.0.0.7", secrets: [][]byte{[]byte("s")},
	}
	with := func(change func(c *config)) config {
		c := base
		change(&c)
		return c
	}
	const whoami = "POD_NAME=flags-1 POD_IP=10.0.0.7 "
	for name, tc := range map[string]struct {
		args, env string
		want      config
		err       error
	}{
		"a secret":       {"-serve", whoami + "MESH_SECRET=s", base, nil},
		"two":            {"-serve", whoami + "MESH_SECRET=s MESH_SECRET_2=t", with(func(c *config) { c.secrets = [][]byte{[]byte("s"), []byte("t")} }), nil},
		"certificates":   {"-serve -tls=/tls", whoami, with(func(c *config) { c.tls, c.secrets = "/tls", nil }), nil},
		"EndpointSlices": {"-serve -discover=kubernetes", whoami + "MESH_SECRET=s", with(func(c *config) { c.discover = "kubernetes" }), nil},
		"other ports": {"-serve -http=:80 -mesh-port=70 -service=m", whoami + "MESH_SECRET=s", with(func(c *config) {
			c.http, c.meshPort, c.service = ":80", 70, "m"
		}), nil},
		"plaintext":             {"-serve", whoami, config{}, errUsage},
		"nobody":                {"-serve", "POD_NAME=flags-1 MESH_SECRET=s", config{}, errUsage},
		"nowhere":               {"-serve", "POD_IP=10.0.0.7 MESH_SECRET=s", config{}, errUsage},
		"another way to find":   {"-serve -discover=file", whoami + "MESH_SECRET=s", config{}, errUsage},
		"more":                  {"-serve all", whoami + "MESH_SECRET=s", config{}, errUsage},
		"unknown":               {"-pods 3", "", config{}, errUsage},
		"a flag to demonstrate": {"-tls=/tls", "", config{}, errUsage},
		"help":                  {"-h", "", config{}, flag.ErrHelp},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for e := range strings.FieldsSeq(tc.env) {
				key, value, _ := strings.Cut(e, "=")
				env[key] = value
			}
			c, err := parseConfig(strings.Fields(tc.args), func(name string) string { return env[name] }, io.Discard)
			require.ErrorIs(t, err, tc.err)
			if err == nil {
				require.Equal(t, tc.want, c)
			}
		})
	}
}

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, os.Getenv, &out, io.Discard), &out)
	if out.String() == noLoopback {
		t.Skip("SKIPPED, loopback has one address")
	}
	require.Regexp(t, `\n  flags-4 +GET /readyz +503 not ready: .*\n(.*\n)*  flags-4 +GET /readyz +200 ready: synced, others: 3\n`, out.String())
	for _, name := range []string{"flags-1", "flags-2", "flags-3"} {
		require.Regexp(t, `\n  `+name+` +GET /flags +200 \{"dark-mode":true,"new-checkout":false\}\n`, out.String())
	}
	for _, name := range []string{"flags-2", "flags-3", "flags-4"} { // what was written while flags-4 started, and the delete
		require.Regexp(t, `\n  `+name+` +GET /flags +200 \{"new-checkout":true\}\n`, out.String())
	}
	require.Regexp(t, `\nThat was all\..*\n$`, out.String())
}

func TestDemoStopsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, nil, os.Getenv, &out, io.Discard))
	require.NotContains(t, out.String(), "That was all")
}

// Two replicas that know each other by certificates, found as in a cluster.
func TestReplicasWithCertificates(t *testing.T) {
	s := &script{out: io.Discard, dns: &dns{}, pods: map[string]*pod{}, tls: newCertificate(t, "flags-mesh")}
	err := s.findPorts(t.Context())
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Skip("SKIPPED, loopback has one address")
	}
	require.NoError(t, err)
	s.dns.publish(s.ip("flags-1"))
	s.dns.publish(s.ip("flags-2"))
	s.start(t.Context(), "flags-1")
	s.start(t.Context(), "flags-2")
	defer func() { require.NoError(t, s.end(t.Context())) }()
	require.NoError(t, s.awaitReady(t.Context(), "flags-1"))
	require.NoError(t, s.awaitReady(t.Context(), "flags-2"))
}

func TestReplicaThatCannotStartSaysWhy(t *testing.T) {
	c := config{serve: true, http: "127.0.0.1:0", mesh: "127.0.0.1", service: "flags-mesh", pod: "flags-1", ip: "127.0.0.1", secrets: [][]byte{make([]byte, 16)}}
	for name, tc := range map[string]struct {
		change func(c *config)
		want   string
	}{
		"a short secret":  {func(c *config) { c.secrets = [][]byte{[]byte("short")} }, "a secret has 5 bytes"},
		"no certificates": {func(c *config) { c.tls = t.TempDir() }, "no such file"},
		"no port to find": {func(c *config) { c.meshPort = 0 }, "port 0"},
		"no cluster":      {func(c *config) { c.discover = "kubernetes" }, "peers of flags-mesh by Kubernetes"},
		"no address":      {func(c *config) { c.http = "127.0.0.1" }, "missing port"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			tc.change(&c)
			require.ErrorContains(t, serve(t.Context(), c, slog.New(slog.DiscardHandler)), tc.want)
		})
	}
}

func TestHandler(t *testing.T) {
	r := &replica{}
	h := r.handler()
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	type step struct {
		method, path, body string
		code               int
		answer             string
	}
	check := func(steps ...step) {
		for _, s := range steps {
			code, answer := ask(s.method, s.path, s.body)
			require.Equal(t, s.code, code, s)
			require.Equal(t, s.answer, answer, s)
		}
	}
	check(
		step{http.MethodGet, "/healthz", "", 200, "alive"},
		step{http.MethodGet, "/readyz", "", 503, "not ready: the other replicas are not known yet"},
		step{http.MethodGet, "/flags", "", 503, "starting"},
		step{http.MethodPut, "/flags/a", "true", 503, "starting"},
	)
	net := transport.NewMemoryTransport()
	defer net.Close()
	store, err := podshare.New[bool](t.Context(), topic, net)
	require.NoError(t, err)
	require.NoError(t, store.Synced(t.Context()))
	r.store.Store(store)
	long := strings.Repeat("a", 4<<10+1)
	check(
		step{http.MethodGet, "/readyz", "", 200, "ready: alone, others: 0"},
		step{http.MethodGet, "/flags", "", 200, "{}"},
		step{http.MethodGet, "/flags/a", "", 404, "404 page not found"},
		step{http.MethodPut, "/flags/a", "true", 204, ""},
		step{http.MethodGet, "/flags/a", "", 200, "true"},
		step{http.MethodPut, "/flags/b", "maybe", 400, "want true or false"},
		step{http.MethodPut, "/flags/b", strings.Repeat(" ", 20) + "true", 400, "want true or false"},
		step{http.MethodPut, "/flags/" + long, "true", 413, "podshare: too large: key of 4097 bytes, limit 4096"},
		step{http.MethodGet, "/flags", "", 200, `{"a":true}`},
		step{http.MethodDelete, "/flags/a", "", 204, ""},
		step{http.MethodGet, "/flags", "", 200, "{}"},
	)
	require.NoError(t, r.close())
	check(
		step{http.MethodGet, "/readyz", "", 503, "not ready: catching up, or closed"},
		step{http.MethodPut, "/flags/a", "true", 503, "podshare: store is closed"},
		step{http.MethodGet, "/healthz", "", 200, "alive"},
	)
}

// newCertificate returns a folder with a certificate of that name, which is its own authority.
func newCertificate(t *testing.T, name string) (dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir = t.TempDir()
	for file, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: cert},
		"ca.crt":  {Type: "CERTIFICATE", Bytes: cert},
		"tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}
