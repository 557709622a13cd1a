package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/podshare/podshare"
)

// Keys of the store. Every edit of the file raises the revision, in the same batch as the flags that it sets:
// a pod that sees a revision sees all of its flags.
const (
	topic       = "feature-flags"
	flagPrefix  = "flag/"
	revisionKey = "revision"
)

// pod is one pod: a store, as every pod of a service has one.
type pod struct {
	name  string
	store *podshare.Store[json.RawMessage]
}

// flags returns the flags that the pod sees at this moment.
func (p *pod) flags() flagSet {
	flags := flagSet{}
	for key, value := range p.store.Snapshot() {
		if name, ok := strings.CutPrefix(key, flagPrefix); ok {
			flags[name] = value
		}
	}
	return flags
}

// revision returns the revision that the pod sees, 0 for none.
func (p *pod) revision() int {
	value, _ := p.store.Get(revisionKey)
	n, _ := strconv.Atoi(string(value))
	return n
}

// apply writes a change, as revision n. Deletes go first, so that who sees the revision has seen them.
func (p *pod) apply(ctx context.Context, c change, n int) error {
	keys := make([]string, 0, len(c.remove))
	for _, name := range c.remove {
		keys = append(keys, flagPrefix+name)
	}
	values := map[string]json.RawMessage{revisionKey: strconv.AppendInt(nil, int64(n), 10)}
	for name, value := range c.set {
		values[flagPrefix+name] = value
	}
	if err := p.store.DeleteMany(ctx, keys); err != nil && !errors.Is(err, podshare.ErrBroadcast) {
		return err
	}
	// ErrBroadcast means: applied here, and the others get it by repair. That is good enough.
	if err := p.store.SetMany(ctx, values); err != nil && !errors.Is(err, podshare.ErrBroadcast) {
		return err
	}
	return nil
}

// fleet is the pods of this process. It notes when which pod sees which revision.
type fleet struct {
	connect func(pod string) podshare.Transport // the transports are not the fleet's to close
	printer *printer
	follows sync.WaitGroup
	stop    context.CancelFunc
	run     context.Context //nolint:containedctx // the life of the fleet

	mu    sync.Mutex // guards what follows
	pods  []*pod
	seen  map[*pod]sighting
	moved chan struct{} // closed and renewed when seen changes
}

// sighting is the newest revision that a pod has seen.
type sighting struct {
	revision int
	at       time.Time
}

func newFleet(connect func(pod string) podshare.Transport, p *printer) *fleet {
	f := &fleet{connect: connect, printer: p, seen: map[*pod]sighting{}, moved: make(chan struct{})}
	f.run, f.stop = context.WithCancel(context.Background())
	return f
}

// join starts one more pod.
func (f *fleet) join(ctx context.Context) (*pod, error) {
	p := &pod{name: fmt.Sprintf("pod-%d", len(f.all())+1)}
	store, err := podshare.New(ctx, topic, f.connect(p.name),
		podshare.WithNodeID[json.RawMessage](p.name),
		podshare.WithErrorHandler[json.RawMessage](func(err error) { f.printer.printf("  %s reports: %v\n", p.name, err) }),
	)
	if err != nil {
		return nil, err
	}
	p.store = store
	f.mu.Lock()
	f.pods = append(f.pods, p)
	f.mu.Unlock()
	f.follows.Go(func() { f.follow(p) })
	return p, nil
}

// follow notes each revision that a pod sees. A watcher that falls behind is closed: it then starts again,
// and looks at the state itself for what it missed.
func (f *fleet) follow(p *pod) {
	for f.run.Err() == nil {
		events := p.store.Watch(f.run, podshare.WatchKey(revisionKey))
		f.note(p, time.Now())
		for range events {
			f.note(p, time.Now())
		}
	}
}

func (f *fleet) note(p *pod, at time.Time) {
	revision := p.revision()
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision > f.seen[p].revision {
		f.seen[p] = sighting{revision, at}
		close(f.moved)
		f.moved = make(chan struct{})
	}
}

// await waits until the pods see a revision, or until patience ends, and returns what each has seen then.
func (f *fleet) await(ctx context.Context, revision int, patience time.Duration) map[*pod]sighting {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		seen, moved := f.sightings()
		complete := true
		for _, p := range f.all() {
			complete = complete && seen[p].revision >= revision
		}
		if complete {
			return seen
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return seen
		}
	}
}

func (f *fleet) sightings() (seen map[*pod]sighting, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.seen), f.moved
}

// all returns the pods in the order in which they joined.
func (f *fleet) all() []*pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clip(f.pods)
}

// revision is that of the first pod, to which edits are written.
func (f *fleet) revision() int { return f.all()[0].revision() }

// close closes all pods. Their last state can still be read.
func (f *fleet) close() {
	f.stop()
	f.follows.Wait()
	for _, p := range f.all() {
		if err := p.store.Close(); err != nil {
			f.printer.printf("  %s: %v\n", p.name, err)
		}
	}
}
