package bench

import (
	"log/slog"
	"testing"

	"github.com/podshare/podshare/transport"
)

// meshSecret is what the pods of a mesh know that is not plaintext.
const meshSecret = "the secret of a benchmark"

// meshOptions are those of a pod on loopback.
func meshOptions(secret string, peers ...string) transport.P2POptions {
	o := transport.P2POptions{Listen: "127.0.0.1:0", Peers: peers, Logger: slog.New(slog.DiscardHandler)}
	if secret != "" {
		o.Secret = []byte(secret)
	}
	return o
}

// openMesh returns transports that are connected, each with each other. They are closed with the benchmark.
func openMesh(b testing.TB, pods int, secret string, change ...func(*transport.P2POptions)) []*transport.P2PTransport {
	b.Helper()
	ts := make([]*transport.P2PTransport, 0, pods)
	var addrs []string
	for range pods {
		o := meshOptions(secret, addrs...)
		for _, fn := range change {
			fn(&o)
		}
		t, err := transport.NewP2PTransport(o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := t.Close(); err != nil {
				b.Error(err)
			}
		})
		ts, addrs = append(ts, t), append(addrs, t.Addr())
	}
	for _, t := range ts {
		wait(b, func() bool { return len(t.Stats().Peers) == pods-1 })
	}
	return ts
}
