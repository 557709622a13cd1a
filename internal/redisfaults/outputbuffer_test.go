//go:build unix

package redisfaults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// The server ends the subscription of a pod that takes nothing for a while. That pod does not learn so at once: what
// it was sent before lies in between.
func TestFleetSurvivesASlowPodBeyondTheOutputBufferLimit(t *testing.T) {
	server := redistest.Start(t, "--client-output-buffer-limit", "pubsub 256kb 0 0")
	network := startProxy(t, server.Addr)
	f := startFleet(t, 2, at(server.Addr))
	slow := f.add(transport.RedisOptions{Addr: network.addr, PingInterval: time.Hour}) // it must not end it first
	slow.write()
	f.awaitWrites(20)

	admin := server.Client()
	subscribers := func() int {
		list, err := admin.Do(t.Context(), "client", "list", "type", "pubsub").Text()
		require.NoError(t, err)
		return strings.Count(list, "\n")
	}
	all := subscribers()
	network.stall()
	value := strings.Repeat("large value ", 5_000)
	n := 0
	fleettest.Poll(t, "the server to give the slow pod up", func() bool {
		for range 20 {
			require.NoError(t, f.pods[0].Set(t.Context(), "shared/large", fmt.Sprint(value, n)))
			n++
		}
		return subscribers() < all
	})
	fleettest.Poll(t, "the slow pod to say that it is cut off", slow.saidCutOff)
	require.Equal(t, podshare.CutOff, slow.Health().State)
	network.resume()
	f.settle()
}
