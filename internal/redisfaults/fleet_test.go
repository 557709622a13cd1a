//go:build unix

package redisfaults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

// pingInterval notices a silent server sooner than the default does.
const pingInterval = 500 * time.Millisecond

// fleet is some pods of a topic. Its methods are for the test's goroutine and fail the test.
type fleet struct {
	t       *testing.T
	options func() transport.RedisOptions // of one more pod
	pods    []*pod
	started int // pods, ever

	before fleettest.Footprint
}

// startFleet starts pods that write. Servers, and whatever else the test runs, are up already.
func startFleet(t *testing.T, pods int, options func() transport.RedisOptions) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	f := &fleet{t: t, options: options, before: fleettest.Measure()}
	for range pods {
		f.add(options())
	}
	f.await("the pods to know each other", func(p *pod) bool { return len(p.Health().Peers) == pods-1 && p.Ready() })
	for _, p := range f.pods {
		p.write()
	}
	f.awaitWrites(50)
	return f
}

// at returns the options of pods of a single server.
func at(addr string) func() transport.RedisOptions {
	return func() transport.RedisOptions {
		return transport.RedisOptions{Addr: addr, PingInterval: pingInterval}
	}
}

// add starts a pod that does not write.
func (f *fleet) add(opts transport.RedisOptions) *pod {
	f.t.Helper()
	p := startPod(f.t, fmt.Sprintf("pod%d", f.started), opts)
	f.pods = append(f.pods, p)
	f.started++
	return p
}

// await polls until ok for all pods.
func (f *fleet) await(what string, ok func(p *pod) bool) {
	f.t.Helper()
	fleettest.Poll(f.t, what, func() bool {
		for _, p := range f.pods {
			if !ok(p) {
				return false
			}
		}
		return true
	})
}

// awaitWrites waits until each pod has written some more keys.
func (f *fleet) awaitWrites(keys int) {
	f.t.Helper()
	begin := map[*pod]int{}
	for _, p := range f.pods {
		begin[p] = p.writer.Kept()
	}
	f.await("the pods to write", func(p *pod) bool { return p.writer.Kept() >= begin[p]+keys })
}

// awaitCutOff waits until every pod has said that it is cut off.
func (f *fleet) awaitCutOff() {
	f.t.Helper()
	f.await("the pods to say that they are cut off", (*pod).saidCutOff)
}

// settle is called when the fault is over. Nobody calls Refresh, and yet: the pods come to hold the same, which is all
// that was acknowledged; they say that they are well; a pod that starts holds it too, next to them and without them;
// and nothing is left of them in the end.
func (f *fleet) settle() {
	f.t.Helper()
	began := time.Now()
	due := f.diaries().Lasting()
	f.await("what was written to be everywhere", func(p *pod) bool { return fleettest.Missing(fleettest.Read(p.Store), due) == "" })
	f.t.Logf("converged %v after the fault", time.Since(began).Round(time.Millisecond))
	f.awaitWrites(20)

	for _, p := range f.pods {
		p.writer.Stop()
	}
	f.await("the pods to be equal", func(p *pod) bool { return same(p, f.pods[0]) })
	f.await("the pods to say that they are synced", func(p *pod) bool { return p.Health().State == podshare.Synced })
	f.check(f.pods...)
	f.before.CheckHeap(f.t)

	f.add(f.options())
	f.await("a new pod to be equal", func(p *pod) bool { return same(p, f.pods[0]) })
	f.check(f.pods...)
	for _, p := range f.pods {
		p.close()
	}
	last := startPod(f.t, "last", f.options())
	f.check(last) // at once: New has loaded it
	require.Equal(f.t, f.pods[0].Snapshot(), last.Snapshot())
	fleettest.Poll(f.t, "the last pod to say that it is alone", func() bool { return last.Ready() && last.Health().State == podshare.Alone })
	last.close()

	f.pods = nil
	f.before.CheckGone(f.t)
}

func same(a, b *pod) bool { return fleettest.Same(fleettest.Read(a.Store), fleettest.Read(b.Store)) }

// diaries returns what all pods have accepted.
func (f *fleet) diaries() (all fleettest.Diaries) {
	for _, p := range f.pods {
		all = append(all, p.writer.Diary())
	}
	return all
}

// check fails unless the pods hold all that was accepted, and nothing else.
func (f *fleet) check(pods ...*pod) {
	f.t.Helper()
	diaries := f.diaries()
	for _, p := range pods {
		require.NoError(f.t, diaries.Check(fleettest.Read(p.Store)))
	}
}

// anyHeard tells whether a store was told of an error with such a text.
func (f *fleet) anyHeard(text string) bool {
	return slices.ContainsFunc(f.pods, func(p *pod) bool {
		return p.heard(func(err error) bool { return strings.Contains(err.Error(), text) })
	})
}
