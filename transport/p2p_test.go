package transport_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

const testSecret = "a secret of tests alone"

// openP2P returns a transport on loopback that is closed with the test. Options are changed by change, in order.
func openP2P(t *testing.T, change ...func(o *transport.P2POptions)) *transport.P2PTransport {
	t.Helper()
	tr := newP2P(t, change...)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// newP2P is openP2P for one that the test closes.
func newP2P(t *testing.T, change ...func(o *transport.P2POptions)) *transport.P2PTransport {
	t.Helper()
	o := transport.P2POptions{
		Listen: "127.0.0.1:0", Node: t.Name(), Secret: []byte(testSecret),
		ReconnectInterval: 100 * time.Millisecond,
	}
	for _, fn := range change {
		fn(&o)
	}
	tr, err := transport.NewP2PTransport(o)
	require.NoError(t, err)
	return tr
}

func plaintext(o *transport.P2POptions) {
	o.Secret = nil
	o.Logger = slog.New(slog.DiscardHandler) // it has a test of its own
}

func to(peers ...*transport.P2PTransport) func(o *transport.P2POptions) {
	return func(o *transport.P2POptions) {
		for _, p := range peers {
			o.Peers = append(o.Peers, p.Addr())
		}
	}
}

func TestP2PKeepsTheContract(t *testing.T) {
	for name, security := range map[string]func(o *transport.P2POptions){"plaintext": plaintext, "secret": func(*transport.P2POptions) {}} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T) transporttest.Transport { return newP2P(t, security) },
				transporttest.WithPair(func(t *testing.T) (from, to_ transporttest.Transport) {
					a := newP2P(t, security)
					return a, newP2P(t, security, to(a))
				}))
		})
	}
}

func TestP2PFetchesAtOnceWithoutPeers(t *testing.T) {
	a := openP2P(t, func(o *transport.P2POptions) {
		o.Peers = []string{"127.0.0.1:1"} // where nobody is
		o.SnapshotTimeout = time.Hour
	})
	data, err := a.FetchSnapshot(t.Context(), "topic")
	require.NoError(t, err)
	require.Nil(t, data)
}
