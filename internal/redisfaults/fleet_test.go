//go:build unix

package redisfaults

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

const (
	// patience is how long anything may take that must happen, on a loaded machine.
	patience = 60 * time.Second

	// pollEvery is how often a test looks.
	pollEvery = 20 * time.Millisecond

	// pingInterval notices a silent server sooner than the default does.
	pingInterval = 500 * time.Millisecond

	// heapRoom is how much the heap may grow under a fleet: what it holds takes some MiB.
	heapRoom = 64 << 20
)

// fleet is some pods of a topic. Its methods are for the test's goroutine and fail the test.
type fleet struct {
	t       *testing.T
	options func() transport.RedisOptions // of one more pod
	pods    []*pod
	started int // pods, ever

	goroutines int // before the first pod
	heap       uint64
}

// startFleet starts pods that write. Servers, and whatever else the test runs, are up already.
func startFleet(t *testing.T, pods int, options func() transport.RedisOptions) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	f := &fleet{t: t, options: options, goroutines: runtime.NumGoroutine(), heap: heapInUse()}
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
	poll(f.t, what, func() bool {
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
		begin[p] = p.acknowledgedKeys()
	}
	f.await("the pods to write", func(p *pod) bool { return p.acknowledgedKeys() >= begin[p]+keys })
}

// awaitCutOff waits until every pod has said that it is cut off.
func (f *fleet) awaitCutOff() {
	f.t.Helper()
	f.await("the pods to say that they are cut off", (*pod).saidCutOff)
}

// poll looks until ok.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("gave up waiting for", what)
		}
	}
}

// settle is called when the fault is over. Nobody calls Refresh, and yet: the pods come to hold the same, which is all
// that was acknowledged; they say that they are well; a pod that starts holds it too, next to them and without them;
// and nothing is left of them in the end.
func (f *fleet) settle() {
	f.t.Helper()
	began := time.Now()
	due := f.kept()
	f.await("what was written to be everywhere", func(p *pod) bool { return f.missing(p, due) == "" })
	f.t.Logf("converged %v after the fault", time.Since(began).Round(time.Millisecond))
	f.awaitWrites(20)

	for _, p := range f.pods {
		p.stop()
	}
	f.await("the pods to be equal", func(p *pod) bool { return same(p, f.pods[0]) })
	f.await("the pods to say that they are synced", func(p *pod) bool { return p.Health().State == podshare.Synced })
	f.check(f.pods...)
	require.Less(f.t, heapInUse(), f.heap+heapRoom, "memory of the fleet")

	f.add(f.options())
	f.await("a new pod to be equal", func(p *pod) bool { return same(p, f.pods[0]) })
	f.check(f.pods...)
	for _, p := range f.pods {
		p.close()
	}
	last := startPod(f.t, "last", f.options())
	f.check(last) // at once: New has loaded it
	require.Equal(f.t, f.pods[0].Snapshot(), last.Snapshot())
	poll(f.t, "the last pod to say that it is alone", func() bool { return last.Ready() && last.Health().State == podshare.Alone })
	last.close()

	f.pods = nil
	f.checkGone()
}

// same tells whether two pods hold the same, and also of deletes that a snapshot does not show.
func same(a, b *pod) bool {
	for n := range sharedKeys {
		key := fmt.Sprintf("shared/%d", n)
		if v, w := a.Version(key), b.Version(key); !v.Timestamp.Equal(w.Timestamp) || v.Origin != w.Origin {
			return false
		}
	}
	return maps.Equal(a.Snapshot(), b.Snapshot())
}

// kept returns what all pods wrote under keys of their own and did not delete.
func (f *fleet) kept() map[string]string {
	all := map[string]string{}
	for _, p := range f.pods {
		p.mu.Lock()
		maps.Copy(all, p.kept)
		p.mu.Unlock()
	}
	return all
}

// missing returns a key that p lacks of those due, except such as were deleted since; "" if there is none.
func (f *fleet) missing(p *pod, due map[string]string) string {
	var now map[string]string // not needed as a rule
	for key, value := range due {
		if got, _ := p.Get(key); got == value {
			continue
		}
		if now == nil {
			now = f.kept()
		}
		if _, still := now[key]; still {
			return key
		}
	}
	return ""
}

// check fails unless the pods hold all that was acknowledged, and nothing else.
func (f *fleet) check(pods ...*pod) {
	f.t.Helper()
	kept := f.kept()
	for _, p := range pods {
		got := p.Snapshot()
		for key, value := range kept {
			if got[key] != value {
				f.t.Fatalf("%s holds %q under %s, which is %q", p.NodeID(), got[key], key, value)
			}
		}
		for key, value := range got {
			if _, ok := kept[key]; !ok && !strings.HasPrefix(key, "shared/") {
				f.t.Fatalf("%s holds a deleted key, %s: %q", p.NodeID(), key, value)
			}
		}
		for n := range sharedKeys {
			f.checkShared(p, fmt.Sprintf("shared/%d", n))
		}
	}
}

// checkShared fails unless p holds the newest of what all pods wrote under a key.
func (f *fleet) checkShared(p *pod, key string) {
	f.t.Helper()
	version := p.Version(key)
	value, _ := p.Get(key)
	for _, author := range f.pods {
		author.mu.Lock()
		wrote, any := author.newest[key]
		author.mu.Unlock()
		if !any {
			continue
		}
		require.False(f.t, version.Timestamp.Before(wrote.version.Timestamp),
			"%s holds an old version of %s, %+v; %s wrote %+v", p.NodeID(), key, version, author.NodeID(), wrote)
		if author.NodeID() == version.Origin {
			require.Equal(f.t, wrote.version.Seq, version.Seq, "%s: %s", p.NodeID(), key)
			require.Equal(f.t, wrote.value, value, "%s: %s", p.NodeID(), key)
		}
	}
}

// checkGone fails unless closed pods left neither goroutines nor memory.
func (f *fleet) checkGone() {
	f.t.Helper()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > f.goroutines {
		if time.Now().After(deadline) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			f.t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), f.goroutines)
		}
		runtime.Gosched()
	}
	require.Less(f.t, heapInUse(), f.heap+heapRoom, "memory after the fleet")
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (p *pod) acknowledgedKeys() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)
}

// anyHeard tells whether a store was told of an error with such a text.
func (f *fleet) anyHeard(text string) bool {
	return slices.ContainsFunc(f.pods, func(p *pod) bool {
		return p.heard(func(err error) bool { return strings.Contains(err.Error(), text) })
	})
}
