package transport_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// watcher is what a running discoverer has told.
type watcher struct {
	t     *testing.T
	end   context.CancelFunc
	ended chan error // what Run returned

	mu    sync.Mutex // guards lists
	lists [][]string // each call of sync
}

// watch runs d until the test ends.
func watch(t *testing.T, d transport.Discoverer) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{t: t, end: cancel, ended: make(chan error, 1)}
	var busy atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ended <- d.Run(ctx, func(peers []string) {
			assert.False(t, busy.Swap(true), "two calls of sync at a time")
			w.mu.Lock()
			w.lists = append(w.lists, slices.Clone(peers))
			w.mu.Unlock()
			clear(peers) // it is sync's to keep
			busy.Store(false)
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// after lets time pass.
func (w *watcher) after(d time.Duration) *watcher {
	time.Sleep(d)
	synctest.Wait()
	return w
}

// wantCalls checks how often sync was called, and the last list.
func (w *watcher) wantCalls(n int, last ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(w.t, w.lists, n, "calls of sync: %v", w.lists)
	if n > 0 {
		require.Equal(w.t, last, append([]string(nil), w.lists[n-1]...), "last call of sync")
	}
}

func (r *reports) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

// take returns what was reported since the last call.
func (r *reports) take() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := errors.Join(r.list...)
	r.list = nil
	return err
}

// resolver is a DNS server.
type resolver struct {
	mu    sync.Mutex // guards the rest
	hosts []string
	err   error
	asked []time.Time
}

func (r *resolver) answer(hosts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts, r.err = hosts, nil
}

func (r *resolver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// lookups returns when each was.
func (r *resolver) lookups() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

func (r *resolver) lookup(_ context.Context, host string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Now())
	return slices.Clone(r.hosts), r.err
}

func TestDiscoverersSortDedupeAndLeaveOutThemselves(t *testing.T) {
	all := []string{"10.0.0.9", "10.0.0.10", "::ffff:10.0.0.9", "2001:DB8:0:0::1", "2001:db8::1", "10.0.0.1", "pod-3.mesh"}
	for name, c := range map[string]struct {
		self string
		want []string
	}{
		"nobody":             {"", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "[2001:db8::1]:70", "pod-3.mesh:70"}},
		"an IP":              {"10.0.0.9", []string{"10.0.0.10:70", "10.0.0.1:70", "[2001:db8::1]:70", "pod-3.mesh:70"}},
		"host:port":          {"10.0.0.1:70", []string{"10.0.0.10:70", "10.0.0.9:70", "[2001:db8::1]:70", "pod-3.mesh:70"}},
		"another port":       {"10.0.0.1:71", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "[2001:db8::1]:70", "pod-3.mesh:70"}},
		"IPv6":               {"2001:db8:0::1", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "pod-3.mesh:70"}},
		"IPv6 in brackets":   {"[2001:db8::1]", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "pod-3.mesh:70"}},
		"IPv6 with its port": {"[2001:db8::1]:70", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "pod-3.mesh:70"}},
		"a name":             {"pod-3.mesh", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "[2001:db8::1]:70"}},
		"somebody else":      {"10.0.0.2", []string{"10.0.0.10:70", "10.0.0.1:70", "10.0.0.9:70", "[2001:db8::1]:70", "pod-3.mesh:70"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dns := &resolver{hosts: all}
				watch(t, &transport.DNSDiscoverer{Host: "mesh", Port: 70, Self: c.self, LookupHost: dns.lookup}).
					after(time.Hour).wantCalls(1, c.want...)
			})
		})
	}
}

func TestDiscoverersRefuseWrongOptionsAtOnce(t *testing.T) {
	dns := &resolver{}
	for name, c := range map[string]struct {
		d    transport.Discoverer
		want string
	}{
		"no host":            {&transport.DNSDiscoverer{Port: 1, LookupHost: dns.lookup}, "neither an IP address nor a host name"},
		"no port":            {&transport.DNSDiscoverer{Host: "mesh", LookupHost: dns.lookup}, "port 0 is not in 1–65535"},
		"port too large":     {&transport.DNSDiscoverer{Host: "mesh", Port: 65536, LookupHost: dns.lookup}, "port 65536"},
		"self without host":  {&transport.DNSDiscoverer{Host: "mesh", Port: 1, Self: ":7000", LookupHost: dns.lookup}, "wrong Self"},
		"self is everything": {&transport.DNSDiscoverer{Host: "mesh", Port: 1, Self: "[::]:7000", LookupHost: dns.lookup}, ":: is the address of no host"},
		"self has no port":   {&transport.DNSDiscoverer{Host: "mesh", Port: 1, Self: "pod:http", LookupHost: dns.lookup}, "has no port"},
		"a static name":      {&transport.StaticDiscoverer{Peers: []string{"a:1", "b", "c:0"}}, `"b" is no host:port`},
		"two static names":   {&transport.StaticDiscoverer{Peers: []string{"a:1", "b", "c:0"}}, "port 0"},
		"static self":        {&transport.StaticDiscoverer{Self: "a b"}, "wrong Self"},
		"no path":            {&transport.FileDiscoverer{}, "no Path"},
		"no service":         {&transport.KubernetesDiscoverer{Port: 1}, "no Service"},
		"no service port":    {&transport.KubernetesDiscoverer{Service: "mesh"}, "no PortName"},
		"two service ports":  {&transport.KubernetesDiscoverer{Service: "mesh", Port: 1, PortName: "p"}, "both Port and PortName"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.d.Run(t.Context(), func([]string) { t.Error("sync was called") })
			require.ErrorContains(t, err, c.want)
		})
	}
	require.Empty(t, dns.lookups())
	require.ErrorContains(t, (&transport.StaticDiscoverer{}).Run(t.Context(), nil), "no function")
}

func TestDiscoverersReturnTheErrorOfTheirContext(t *testing.T) {
	for name, d := range map[string]func(*testing.T) transport.Discoverer{
		"static": func(*testing.T) transport.Discoverer { return &transport.StaticDiscoverer{} },
		"file":   func(t *testing.T) transport.Discoverer { return &transport.FileDiscoverer{Path: peersFile(t, "a:1\n")} },
		"dns": func(*testing.T) transport.Discoverer {
			return &transport.DNSDiscoverer{Host: "mesh", Port: 1, LookupHost: (&resolver{hosts: []string{"a"}}).lookup}
		},
		"kubernetes": func(t *testing.T) transport.Discoverer { return newKubernetes(t).discoverer() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t, d(t)).after(time.Minute)
				w.end()
				require.ErrorIs(t, <-w.ended, context.Canceled)
				w.mu.Lock()
				require.Len(t, w.lists, 1)
				w.mu.Unlock()

				ended, cancel := context.WithTimeout(t.Context(), 0)
				defer cancel()
				err := d(t).Run(ended, func([]string) { t.Error("sync was called") })
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// An empty list is a list: who runs a discoverer learns that it is alone.
func TestStaticPeersMayBeNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch(t, &transport.StaticDiscoverer{Peers: []string{"10.0.0.1:70"}, Self: "10.0.0.1"}).after(time.Hour).wantCalls(1)
	})
}

func TestStaticPeersAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &transport.StaticDiscoverer{Peers: []string{"pod-1:70", "pod-0:70", "pod-1:70"}, Self: "pod-2:70"}
		watch(t, s).after(time.Hour).wantCalls(1, "pod-0:70", "pod-1:70")
		require.Equal(t, []string{"pod-1:70", "pod-0:70", "pod-1:70"}, s.Peers)
	})
}
