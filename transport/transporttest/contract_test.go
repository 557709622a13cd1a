package transporttest

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/podshare/podshare/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryTransportKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport { return transport.NewMemoryTransport() })
}

func TestMemoryTransportWithShortQueueKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport {
		return transport.NewMemoryTransport(transport.WithMemoryQueue(8))
	})
}

func TestNetworkWithoutFaultsKeepsTheContract(t *testing.T) {
	newNetwork := func(t *testing.T) *Network {
		n := NewNetwork(1)
		t.Cleanup(func() { n.Close() })
		return n
	}
	Run(t, func(t *testing.T) Transport { return newNetwork(t).Pod("a") },
		WithPair(func(t *testing.T) (from, to Transport) {
			n := newNetwork(t)
			return n.Pod("a"), n.Pod("b")
		}))
}

// A link that delays, duplicates and reorders is still a sound transport.
func TestSlowNetworkBreaksNoRule(t *testing.T) {
	newNetwork := func(t testing.TB) *Network {
		t.Helper()
		n := NewNetwork(1, WithFaults(Faults{Duplicate: 0.3, Reorder: 0.3, MaxDelay: time.Millisecond}))
		t.Cleanup(func() { n.Close() })
		return n
	}
	wantNoFailures(t,
		func(t testing.TB) Transport {
			t.Helper()
			return newNetwork(t).Pod("a")
		},
		func(t testing.TB) (from, to Transport) {
			t.Helper()
			n := newNetwork(t)
			return n.Pod("a"), n.Pod("b")
		})
}

// Nor do rules complain in the fake time that the broken transports below are tested in.
func TestMemoryTransportBreaksNoRule(t *testing.T) {
	wantNoFailures(t, func(testing.TB) Transport { return transport.NewMemoryTransport() }, nil)
}

func wantNoFailures(t *testing.T, newTransport func(testing.TB) Transport, newPair func(testing.TB) (from, to Transport)) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if failures := failuresOf(t, r, newTransport, newPair); len(failures) > 0 {
				t.Errorf("complaints without reason: %q", failures)
			}
		})
	}
}

func TestTransportThatRefusesSecondSubscriptionKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) Transport { return newSingle() })
}

func TestBrokenTransportBreaksItsRule(t *testing.T) {
	for _, c := range []struct {
		rule      string
		transport func(t testing.TB) Transport
		complaint string
	}{
		{"a frame reaches every subscriber of its topic", newForgetful, "did not reach a subscriber"},
		{"a frame reaches no subscriber of another topic", newPrefixed, "never published there"},
		{"a topic can be any text", newTrimming, "never published there"},
		{"a large frame arrives whole", newTruncating, "did not reach a subscriber"},
		{"publishing without a subscriber is no error", newPicky, "nobody listens"},
		{"a subscriber that does not read holds up nobody", newWaiting, "does not read"},
		{"a subscription ends with its context", newEndless, "was not closed"},
		{"an ended context starts no subscription", newEndless, "was not closed"},
		{"a subscription ends when the transport closes", newUnclosable, "was not closed"},
		{"a missing snapshot is nil without an error", newStrict, "nil without an error"},
		{"a snapshot is fetched as it was stored", newTruncating, "never stored"},
		{"a snapshot replaces the one before", newFirstWins, "still returned"},
		{"snapshot slices belong to the caller", newAliasing, "never stored"},
		{"a closed transport returns errors", newUnclosable, "returned no error"},
		{"closing twice is no error", newCloseOnce, "second Close"},
		{"an ended subscription leaves no goroutine", newLeaky, "goroutines rose"},
		{"a closed transport leaves no goroutine", newLeaky, "goroutines are left"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, r := range rules() {
				if r.name != c.rule {
					continue
				}
				failures := strings.Join(failuresOf(t, r, c.transport, nil), "\n")
				if !strings.Contains(failures, c.complaint) {
					t.Errorf("want a complaint with %q, got: %q", c.complaint, failures)
				}
				return
			}
			t.Fatal("no such rule")
		})
	}
}
