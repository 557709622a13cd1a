package podshare_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "topic"

// staying is the ctx of a caller that waits as long as it takes, and so may be made to publish itself.
var staying = context.Background()

// G1 in numbers, for fleets of up to 20 pods, whose heartbeats are a second apart, give or take 10 %.
const (
	threeHeartbeats = 3300 * time.Millisecond
	exchange        = 500 * time.Millisecond // the exchange that follows at once
	healing         = threeHeartbeats + exchange
)

// bubble runs a test in a synctest bubble: time passes only when nothing else happens.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// pass lets fake time pass, and everything happen that is due in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// newMemory returns a broker that is closed after the test.
func newMemory(t testing.TB, opts ...transport.MemoryOption) *transport.MemoryTransport {
	t.Helper()
	tr := transport.NewMemoryTransport(opts...)
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// newNetwork returns a fault network that is closed after the test.
func newNetwork(t testing.TB, seed uint64, opts ...transporttest.NetworkOption) *transporttest.Network {
	t.Helper()
	net := transporttest.NewNetwork(seed, opts...)
	t.Cleanup(func() { _ = net.Close() })
	return net
}

// open starts a store of strings that is closed after the test.
func open(t testing.TB, tr podshare.Transport, node string, opts ...podshare.Option[string]) *podshare.Store[string] {
	t.Helper()
	return openOf(t, tr, node, opts...)
}

// openOf is open for any type.
func openOf[T any](t testing.TB, tr podshare.Transport, node string, opts ...podshare.Option[T]) *podshare.Store[T] {
	t.Helper()
	s, err := podshare.New(t.Context(), topic, tr, append([]podshare.Option[T]{podshare.WithNodeID[T](node)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// errorLog is an error handler that remembers.
type errorLog struct {
	mu   sync.Mutex // guards errs
	errs []error
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// count returns how many errors were reported that match target, all if it is nil.
func (l *errorLog) count(target error) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, err := range l.errs {
		if target == nil || errors.Is(err, target) {
			n++
		}
	}
	return n
}

// keyOf returns the key of the first error that matches target, nil for any, and names one.
func (l *errorLog) keyOf(target error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errs {
		var ke *podshare.KeyError
		if (target == nil || errors.Is(err, target)) && errors.As(err, &ke) {
			return ke.Key
		}
	}
	return ""
}

// to makes l the error handler of a store of strings.
func (l *errorLog) to() podshare.Option[string] { return podshare.WithErrorHandler[string](l.add) }

// requireSame fails unless all stores hold the same values under the same versions.
func requireSame[T any](t testing.TB, stores ...*podshare.Store[T]) {
	t.Helper()
	want := stores[0].Snapshot()
	for i, s := range stores[1:] {
		require.Equal(t, want, s.Snapshot(), "contents of store %d differ from those of the first", i+1)
		for key := range want {
			v, w := stores[0].Version(key), s.Version(key)
			require.Equal(t, v.Timestamp.UnixNano(), w.Timestamp.UnixNano(), "stamp of %q", key)
			require.Equal(t, v.Origin, w.Origin, "origin of %q", key)
			require.Equal(t, v.Seq, w.Seq, "seq of %q", key)
		}
	}
}

// requireHolds fails unless the store serves this value under the key.
func requireHolds[T any](t testing.TB, s *podshare.Store[T], key string, want T) {
	t.Helper()
	got, ok := s.Get(key)
	require.True(t, ok, "%s holds no %q", s.NodeID(), key)
	require.Equal(t, want, got, "%s: %q", s.NodeID(), key)
}

// requireAbsent fails if the store serves the key.
func requireAbsent[T any](t testing.TB, s *podshare.Store[T], key string) {
	t.Helper()
	got, ok := s.Get(key)
	require.False(t, ok, "%s holds %q = %v", s.NodeID(), key, got)
}

// numbered returns n keys, each with the given value.
func numbered(n int, value string) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprintf("key %05d", i)] = value
	}
	return m
}

// drain returns what is in a watcher's channel at this moment, and whether the channel is still open.
func drain[T any](events <-chan podshare.Event[T]) (got []podshare.Event[T], open bool) {
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				return got, false
			}
			got = append(got, ev)
		default:
			return got, true
		}
	}
}
