package bench

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// idleLimit is what a pod may receive, in bytes a second, when nobody writes, whatever the size of the fleet.
const idleLimit = 2_000

// TestIdleTraffic lets fleets do nothing for five minutes of virtual time and counts what each pod receives:
// every frame that another pod sends to all, and those addressed to it.
func TestIdleTraffic(t *testing.T) {
	fleets := []int{3, 30, 300}
	if testing.Short() {
		fleets = fleets[:2]
	}
	for _, pods := range fleets {
		t.Run(fmt.Sprintf("pods=%d", pods), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				frames, bytes := idle(t, pods)
				t.Logf("pods=%d: %.2f frames/s and %.0f B/s received by each", pods, frames, bytes)
				if bytes > idleLimit {
					t.Errorf("an idle pod of %d receives %.0f B/s, the limit is %d", pods, bytes, idleLimit)
				}
			})
		})
	}
}

// idle returns the frames and bytes that each pod of a fleet receives in a second.
func idle(t *testing.T, pods int) (frames, bytes float64) {
	t.Helper()
	const observed = 5 * time.Minute
	memory := transport.NewMemoryTransport()
	t.Cleanup(func() { _ = memory.Close() })
	m := &meter{Transport: memory, noSnapshot: true}
	stores := make([]*podshare.Store[payload], pods)
	for i := range stores {
		stores[i] = openPodshare[payload](t, m, storeOptions{node: fmt.Sprintf("gateway-%05d", i), codec: copyCodec{}})
		closeAfter(t, stores[i])
	}
	fill(t, stores[0], payloads(100))
	time.Sleep(2 * time.Minute) // until all have met and are equal
	for i, s := range stores {
		if n := s.Stats().Keys; n != 100 {
			t.Fatalf("pod %d holds %d keys", i, n)
		}
	}
	f, n, inbox := m.frames.Load(), m.bytes.Load(), m.inbox.Load()
	time.Sleep(observed)
	f, n, inbox = m.frames.Load()-f, m.bytes.Load()-n, m.inbox.Load()-inbox
	toAll := float64(n-inbox) * float64(pods-1)
	perPod := float64(pods) * observed.Seconds()
	return float64(f) * float64(pods-1) / perPod, (toAll + float64(inbox)) / perPod
}
