package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// topic is what replicas have in common.
const topic = "flags"

// defaults are the flags that a fleet begins with. What anybody wrote, or deleted, counts more.
var defaults = map[string]bool{"dark-mode": false, "new-checkout": false}

// replica is one pod of the service.
type replica struct {
	store atomic.Pointer[podshare.Store[bool]] // nil: not open yet
}

// serve is the life of a replica. It ends with ctx: first what clients ask, then the store, then the mesh, by which the
// store still sends what waits and says goodbye.
func serve(ctx context.Context, c config, log *slog.Logger) error {
	mesh, err := newMesh(c, log)
	if err != nil {
		return err
	}
	defer mesh.Close()
	r := &replica{}
	web, err := startWeb(ctx, c.http, r.handler()) // probes are answered from now on, by no at first
	if err != nil {
		return err
	}
	err = r.live(ctx, c, mesh, log)
	return errors.Join(err, web.stop(), r.close())
}

// live opens the store as soon as it is known who else is there, and waits until ctx ends.
//
// A store waits for its peers by itself, but for some seconds only: a replica that starts while DNS is slow would then
// take itself for the first of all and be ready, without the others' flags.
func (r *replica) live(ctx context.Context, c config, mesh *transport.P2PTransport, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	found, once := make(chan struct{}), sync.Once{}
	ended := make(chan struct{})
	var endedBy error
	give := transport.SyncPeers(mesh)
	go func() {
		defer close(ended)
		endedBy = newDiscoverer(c, log).Run(ctx, func(peers []string) {
			log.Info("replicas besides this one", "addresses", peers)
			give(peers)
			once.Do(func() { close(found) })
		})
	}()
	defer func() { <-ended }()
	defer cancel()

	select {
	case <-found:
	case <-ended:
		return ifRunning(ctx, endedBy)
	}
	store, err := podshare.New(ctx, topic, mesh, podshare.WithNodeID[bool](c.pod), podshare.WithLogger[bool](log))
	if err != nil {
		return ifRunning(ctx, err)
	}
	r.store.Store(store)
	if err := store.Seed(defaults); err != nil && !errors.Is(err, podshare.ErrSeedNonEmpty) {
		return err
	}
	<-ended
	return ifRunning(ctx, endedBy)
}

// ifRunning returns err, but nil for one that only says that ctx has ended: that is no failure here.
func ifRunning(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (r *replica) close() error {
	if store := r.store.Load(); store != nil {
		return store.Close()
	}
	return nil
}
