package main

import (
	"context"
	"errors"
	"io"
	"log"
	"slices"
	"strings"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/examples/internal/stage"
	"github.com/podshare/podshare/transport"
)

// topic is what pods have in common that shall see each other.
const topic = "settings"

// runPod runs a pod, a store of strings that obeys the lines of a terminal, until ctx or stdin ends.
func runPod(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) error {
	out := log.New(stdout, "", 0)
	changed := make(chan struct{}, 1) // whom the pod is connected to
	change := func(string, bool) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	t, err := transport.NewP2PTransport(transport.P2POptions{
		Node:         o.node,
		Listen:       o.listen,
		Peers:        o.peers,
		Secret:       secret(o.secret),
		OnConnect:    change,
		OnDisconnect: change,
		OnError:      func(err error) { out.Print(err) },
	})
	if err != nil {
		return err
	}
	defer t.Close() // after the store
	if addr := t.Addr(); addr != "" {
		out.Printf("listens at %s", addr)
	}

	store, err := podshare.New(ctx, topic, t,
		podshare.WithNodeID[string](o.node),
		podshare.WithErrorHandler[string](stage.Hear(out)))
	if err != nil {
		return ifRunning(ctx, err)
	}
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		follow(following, t, changed, out)
	}()
	defer func() { stop(); <-followed }()
	if err := store.Synced(ctx); err != nil { // what the others hold is here
		return store.Close()
	}
	return stage.Obey(ctx, store, stdin, out)
}

// ifRunning returns err, but nil for one that only says that ctx has ended: that is no failure here.
func ifRunning(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func secret(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// follow says whom the pod is connected to, whenever that changes, until ctx ends.
func follow(ctx context.Context, t *transport.P2PTransport, changed <-chan struct{}, out *log.Logger) {
	said := ""
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		if now := connected(t); now != said {
			said = now
			out.Print(now)
		}
	}
}

func connected(t *transport.P2PTransport) string {
	var names []string
	for _, peer := range t.Stats().Peers {
		names = append(names, peer.Node)
	}
	if names == nil {
		return "connected to nobody"
	}
	slices.Sort(names)
	return "connected to " + strings.Join(names, ", ")
}
