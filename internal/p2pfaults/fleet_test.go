//go:build linux

package p2pfaults

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

// quiet logs nothing: that connections are plaintext is known here.
var quiet = slog.New(slog.DiscardHandler)

// stepEvery is for how long a pod rests between two steps of writing, times the square of how many pods there are: the
// load of the machine, that is what all of them receive, is the same whatever the size of the fleet.
const stepEvery = 400 * time.Microsecond

// fleet is some pods of a topic, each of which is told the addresses of all. Its methods are for the test's goroutine and
// fail the test.
type fleet struct {
	t       *testing.T
	size    int
	change  []func(c *config, o *transport.P2POptions) // of each pod that starts
	address func(n int) string                         // where the n-th pod is reached
	launch  func(n int) member                         // starts it
	members map[string]member                          // by run, those that live
	past    fleettest.Diaries                          // of those that do not
	runs    int                                        // ever
	proxies []*proxy
	before  fleettest.Footprint
	healed  time.Time // when the fault was over, if that was not at the call of settle
}

// newFleet returns a fleet without pods. Those that will start as its first ones know each other's addresses.
func newFleet(t *testing.T, size int, change ...func(c *config, o *transport.P2POptions)) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	f := &fleet{t: t, size: size, change: change, address: addressOf, members: map[string]member{}, before: fleettest.Measure()}
	f.launch = func(n int) member { return f.start(n) }
	return f
}

// startFleet starts pods in this process that write.
func startFleet(t *testing.T, size int, change ...func(c *config, o *transport.P2POptions)) (f *fleet, pods []*pod) {
	t.Helper()
	f = newFleet(t, size, change...)
	for n := range size {
		pods = append(pods, f.start(n))
	}
	f.begin()
	return f, pods
}

// addressOf is where the n-th pod listens: at a host of loopback of its own, so that nobody takes the port while the pod
// restarts.
func addressOf(n int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:7946", 1+pid>>8&0x7f, pid&0xff, 1+n)
}

func secretOf(mesh int) []byte {
	return fmt.Appendf(nil, "the secret of mesh %d, of tests alone", mesh)
}

func nodeOf(n int) string { return fmt.Sprintf("pod%d", n) }

// config returns how the n-th pod starts.
func (f *fleet) config(n int) (config, transport.P2POptions) {
	c := config{
		Node: nodeOf(n), Run: fmt.Sprintf("pod%d-run%d", n, f.runs), Listen: f.address(n),
		Secret: secretOf(0), WriteEvery: time.Duration(f.size*f.size) * stepEvery, KeepAlive: 10 * time.Second,
	}
	for i := range f.size {
		c.Peers = append(c.Peers, f.address(i))
	}
	f.runs++
	o := c.options()
	for _, fn := range f.change {
		fn(&c, &o)
	}
	return c, o
}

// start starts the n-th pod in this process.
func (f *fleet) start(n int) *pod {
	f.t.Helper()
	c, o := f.config(n)
	p, err := openPod(c, o)
	require.NoError(f.t, err)
	f.t.Cleanup(p.close)
	f.members[c.Run] = p
	return p
}

// proxy starts a proxy of the fleet.
func (f *fleet) proxy(addr, target string) *proxy {
	f.t.Helper()
	p := startProxy(f.t, addr, target)
	f.proxies = append(f.proxies, p)
	return p
}

// behind is where a pod listens whose address is that of a proxy.
const behind = 100

// behindProxies has each pod that starts from now on listen behind a proxy.
func (f *fleet) behindProxies() {
	f.change = append(f.change, func(c *config, o *transport.P2POptions) {
		hidden := addressOf(behind + len(f.proxies))
		f.proxy(c.Listen, hidden)
		o.Advertise, o.Listen = c.Listen, hidden
	})
}

// startProcess starts the n-th pod in another process.
func (f *fleet) startProcess(n int, by ...string) *process {
	f.t.Helper()
	c, _ := f.config(n)
	p := startProcess(f.t, c, by...)
	f.members[c.Run] = p
	return p
}

// begin waits until the pods know each other, and has them write.
func (f *fleet) begin() {
	f.t.Helper()
	f.awaitWhole()
	for _, m := range f.members {
		m.write()
	}
	f.awaitWrites(150)
}

// lose forgets a member that ended otherwise than by settle; what it had accepted is in its last diary.
func (f *fleet) lose(m member, last fleettest.Diary) {
	f.past = append(f.past, last)
	maps.DeleteFunc(f.members, func(_ string, x member) bool { return x == m })
}

// retire ends a pod as a deployment does. What it was told that it could not send it must not take with it.
func (f *fleet) retire(p *pod) {
	f.t.Helper()
	p.stop()
	if p.writer.Pending() > 0 {
		ctx, cancel := context.WithTimeout(f.t.Context(), fleettest.Patience)
		defer cancel()
		require.NoError(f.t, p.store.Await(ctx, 1))
	}
	last := p.diary()
	p.close()
	f.lose(p, last)
}

// await polls until ok for all pods.
func (f *fleet) await(what string, ok func(m member) bool) {
	f.t.Helper()
	await(f.t, what, slices.Collect(maps.Values(f.members)), ok)
}

func await[M member](t *testing.T, what string, members []M, ok func(m M) bool) {
	t.Helper()
	fleettest.Poll(t, what, func() bool {
		for _, m := range members {
			if !ok(m) {
				return false
			}
		}
		return true
	})
}

// awaitConnected waits until all pods have caught up, and hear and are connected to each other.
func (f *fleet) awaitConnected() {
	f.t.Helper()
	f.awaitStatus("the pods to be connected", func(s *status) bool {
		return s.Ready && len(s.Heard) == len(f.members)-1 && len(s.Connected) == len(f.members)-1
	})
}

// awaitWhole waits until, on top of that, all of them say at once that they are well. On a machine that has too much to do
// they may not while they write.
func (f *fleet) awaitWhole() {
	f.t.Helper()
	f.awaitConnected()
	f.awaitStatus("the pods to be synced", func(s *status) bool { return s.State == podshare.Synced })
}

func (f *fleet) awaitStatus(what string, ok func(s *status) bool) {
	f.t.Helper()
	var s status // of the one that keeps the test waiting
	defer func() {
		if f.t.Failed() {
			f.t.Logf("%+v", s)
		}
	}()
	f.await(what, func(m member) bool {
		s = m.status()
		return ok(&s)
	})
}

// awaitWrites waits until all pods together have written some more keys, each its share.
func (f *fleet) awaitWrites(keys int) {
	f.t.Helper()
	begin := map[member]int{}
	for _, m := range f.members {
		begin[m] = m.status().Kept
	}
	f.await("the pods to write", func(m member) bool { return m.status().Kept >= begin[m]+1+keys/len(f.members) })
}

// awaitPassing waits until what one of the members writes from now on has come to the other, and the other way round.
func (f *fleet) awaitPassing(members ...member) {
	f.t.Helper()
	for _, from := range members {
		key := fmt.Sprintf("marker/%d", f.runs)
		f.runs++
		from.set(key, "passed")
		await(f.t, "a write to pass", members, func(m member) bool { return m.contents().Values[key] != "" })
	}
}

// settle is called when the fault is over. Nobody calls Refresh, and yet: the pods come to hold the same, which is all
// that was accepted, and nothing that was deleted; they are connected and say that they are well; a pod that starts holds
// it too; and nothing is left of them in the end.
func (f *fleet) settle() {
	f.t.Helper()
	began := f.healed
	if began.IsZero() {
		began = time.Now()
	}
	due := f.diaries().Lasting()
	f.awaitAll(due)
	held := time.Since(began)
	f.awaitConnected()
	f.t.Logf("converged %v after the fault, connected %v", held.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	f.awaitWrites(60)

	for _, m := range f.members {
		m.stop()
	}
	f.awaitEqual()
	f.awaitWhole()
	f.check()
	f.before.CheckHeap(f.t)

	f.launch(f.size)
	f.awaitWhole()
	f.awaitEqual()
	f.check()
	for _, m := range f.members {
		m.close()
	}
	f.members = nil
	for _, p := range f.proxies {
		p.close()
	}
	f.before.CheckGone(f.t)
}

// awaitAll waits until all pods hold the keys that are due.
func (f *fleet) awaitAll(due map[string]string) {
	f.t.Helper()
	var missing string
	var by member
	defer func() {
		if f.t.Failed() {
			f.t.Logf("%s is missing: %+v", missing, by.status())
		}
	}()
	f.await("what was written to be everywhere", func(m member) bool {
		missing, by = fleettest.Missing(m.contents(), due), m
		return missing == ""
	})
}

func (f *fleet) awaitEqual() {
	f.t.Helper()
	fleettest.Poll(f.t, "the pods to be equal", func() bool {
		var first *fleettest.Contents
		for _, m := range f.members {
			c := m.contents()
			if first == nil {
				first = &c
			} else if !fleettest.Same(*first, c) {
				return false
			}
		}
		return true
	})
}

// diaries returns what all pods ever accepted.
func (f *fleet) diaries() fleettest.Diaries {
	all := slices.Clone(f.past)
	for _, m := range f.members {
		all = append(all, m.diary())
	}
	return all
}

// check fails unless the pods hold all that was accepted, and nothing else.
func (f *fleet) check() {
	f.t.Helper()
	diaries := f.diaries()
	for _, m := range f.members {
		require.NoError(f.t, diaries.Check(m.contents()))
	}
}
