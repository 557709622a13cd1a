package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

const kubernetesPatience = 30 * time.Second

// kubernetesPod is a discoverer that asks over a network, with a service account.
type kubernetesPod struct {
	*transport.KubernetesDiscoverer
	t     *testing.T
	lists chan []string // each call of sync
	errs  chan error
	end   func() // waits
}

// newKubernetesPod returns a discoverer that trusts nobody and has the token "first".
func newKubernetesPod(t *testing.T, url string) *kubernetesPod {
	t.Helper()
	dir := t.TempDir()
	p := &kubernetesPod{t: t, lists: make(chan []string, 100), errs: make(chan error, 100)}
	p.KubernetesDiscoverer = &transport.KubernetesDiscoverer{
		Service: "mesh", Namespace: "chat", Port: 70, APIServer: url,
		TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt"),
		OnError: func(err error) { p.errs <- err },
	}
	p.token("first")
	return p
}

func (p *kubernetesPod) token(token string) {
	assert.NoError(p.t, os.WriteFile(p.TokenFile, []byte(token+"\n"), 0o600))
}

func (p *kubernetesPod) trust(a *authority) {
	assert.NoError(p.t, os.WriteFile(p.CAFile, a.pem, 0o600))
}

func (p *kubernetesPod) run() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, func(peers []string) { p.lists <- peers }) }()
	p.end = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(p.t, <-ended, context.Canceled)
	})
	p.t.Cleanup(p.end)
}

func (p *kubernetesPod) want(peers ...string) {
	p.t.Helper()
	select {
	case got := <-p.lists:
		require.Equal(p.t, peers, got)
	case <-time.After(kubernetesPatience):
		require.Fail(p.t, "no list", "errors: %d", len(p.errs))
	}
}

func (p *kubernetesPod) wantError(text string) {
	p.t.Helper()
	select {
	case err := <-p.errs:
		require.ErrorContains(p.t, err, text)
	case <-p.lists:
		require.Fail(p.t, "there is a list")
	case <-time.After(kubernetesPatience):
		require.Fail(p.t, "no error")
	}
}

// runKubernetesTLS runs k with the certificate that of returns at the time.
func runKubernetesTLS(t *testing.T, k http.Handler, of func() tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(k)
	s.Config.ErrorLog = discardLog()
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{of()}}, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// Tokens are replaced every hour or so, and the API's authority now and then: both are read for each request. The list
// comes after the first token and certificate, the watch after the second.
func TestKubernetesTokenAndAuthorityMayBeReplaced(t *testing.T) {
	k := newKubernetes(t)
	k.set(slice("one", "10.0.0.1"))
	authorities := []*authority{newAuthority(t, "first"), newAuthority(t, "second")}
	certificates := []tls.Certificate{authorities[0].issue().tls(t), authorities[1].issue().tls(t)}
	var mu sync.Mutex // guards the rest
	var tokens []string
	requests := 0
	now := func() tls.Certificate {
		mu.Lock()
		defer mu.Unlock()
		return certificates[min(requests, 1)]
	}
	var p *kubernetesPod
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		tokens = append(tokens, r.Header.Get("Authorization"))
		requests++
		first := requests == 1
		mu.Unlock()
		if first {
			w.Header().Set("Connection", "close")
			p.token("second")
			p.trust(authorities[1])
		}
		k.ServeHTTP(w, r)
	})
	p = newKubernetesPod(t, runKubernetesTLS(t, handler, now))
	p.trust(authorities[0])
	p.run()
	p.want("10.0.0.1:70")
	k.set(slice("one", "10.0.0.2"))
	p.want("10.0.0.2:70")
	p.end()
	require.Empty(t, p.errs)
	require.Equal(t, []string{"Bearer first", "Bearer second"}, tokens)
}

func TestKubernetesTrustsNobodyElse(t *testing.T) {
	k := newKubernetes(t)
	mine, other := newAuthority(t, "mine"), newAuthority(t, "other")
	certificate := other.issue().tls(t)
	url := runKubernetesTLS(t, k, func() tls.Certificate { return certificate })
	for name, c := range map[string]struct {
		prepare func(*kubernetesPod)
		want    string
	}{
		"another authority": {func(p *kubernetesPod) { p.trust(mine) }, "certificate"},
		"no authority": {func(p *kubernetesPod) {
			assert.NoError(t, os.WriteFile(p.CAFile, []byte("# none"), 0o600))
		}, "has no certificates"},
		"no file of authorities": {func(*kubernetesPod) {}, "no such file"},
		"no token":               {func(p *kubernetesPod) { p.trust(other); p.TokenFile += ".no" }, "no such file"},
		"a token of two lines":   {func(p *kubernetesPod) { p.trust(other); p.token("a\nsecret") }, "invalid header field value"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newKubernetesPod(t, url)
			c.prepare(p)
			var last error
			p.OnError = func(err error) { last = err; p.errs <- err }
			p.run()
			p.wantError(c.want)
			p.end()
			require.NotContains(t, last.Error(), "secret")
		})
	}
	require.Empty(t, k.listings())
}

// A redirect may point anywhere, and from https to http.
func TestKubernetesTokenGoesNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("asked elsewhere with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	a := newAuthority(t, "a")
	c := a.issue().tls(t)
	url := runKubernetesTLS(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect), func() tls.Certificate { return c })
	p := newKubernetesPod(t, url)
	p.trust(a)
	p.run()
	p.wantError("307 Temporary Redirect")
	p.end()

	p = newKubernetesPod(t, "http://127.0.0.1:1")
	require.ErrorContains(t, p.Run(t.Context(), func([]string) {}), "a token is not sent to an APIServer over http")
}

func TestKubernetesThroughAProxyThatLogsIn(t *testing.T) {
	k := newKubernetes(t)
	k.set(slice("one", "10.0.0.1"))
	k.inspect = func(r *http.Request) { assert.Empty(t, r.Header.Get("Authorization")) }
	s := httptest.NewServer(k)
	defer s.Close()
	p := newKubernetesPod(t, s.URL)
	p.TokenFile, p.CAFile = "", ""
	p.run()
	p.want("10.0.0.1:70")
	k.set(slice("one", "10.0.0.2"))
	p.want("10.0.0.2:70")
	p.end()
}

// A Client may have connections that others use, too: they stay open.
func TestKubernetesLeavesTheClientItWasGiven(t *testing.T) {
	k := newKubernetes(t)
	k.set(slice("one", "10.0.0.1"))
	a := newAuthority(t, "a")
	c := a.issue().tls(t)
	var mu sync.Mutex // guards from
	from := map[string]string{}
	url := runKubernetesTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.URL.Path+strconv.FormatBool(isWatch(r))] = r.RemoteAddr
		mu.Unlock()
		if r.URL.Path == kubernetesPath {
			k.ServeHTTP(w, r)
		}
	}), func() tls.Certificate { return c })
	p := newKubernetesPod(t, url)
	own := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: a.pool()}}
	defer own.CloseIdleConnections()
	p.Client, p.CAFile, p.TokenFile = &http.Client{Transport: own}, "", ""
	ask := func(path string) {
		answer, err := p.Client.Get(url + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
	}
	watched := make(chan struct{})
	k.inspect = func(r *http.Request) {
		if isWatch(r) {
			close(watched)
		}
	}
	p.run()
	p.want("10.0.0.1:70")
	<-watched
	ask("/before")
	p.end()
	ask("/after")
	require.Equal(t, from["/beforefalse"], from["/afterfalse"])
	require.NotEqual(t, from["/beforefalse"], from[kubernetesPath+"true"])
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
