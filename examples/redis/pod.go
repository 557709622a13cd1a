package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// pod is a store of strings that obeys the lines of a terminal.
type pod struct {
	store *podshare.Store[string]
	out   *log.Logger // for several goroutines: what comes from other pods is printed in between
}

// runPod runs a pod until ctx or stdin ends.
func runPod(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) error {
	t, err := transport.NewRedisTransport(transport.RedisOptions{
		Addr:        o.addr,
		SnapshotTTL: time.Hour, // what an example leaves behind
	})
	if err != nil {
		return err
	}
	defer t.Close()

	p := &pod{out: log.New(stdout, "", 0)}
	p.store, err = podshare.New(ctx, o.topic, t,
		podshare.WithNodeID[string](o.node),
		podshare.WithErrorHandler[string](p.hear))
	if err != nil {
		return err
	}
	watched := make(chan struct{})
	events := p.store.Watch(context.Background()) // Close ends it
	go func() {
		defer close(watched)
		p.follow(events)
	}()
	p.out.Printf("started: %s", p.list())

	p.obeyAll(ctx, lines(ctx, stdin))
	err = p.store.Close() // sends what waits, and stores what is not stored
	<-watched
	return err
}

// lines returns the lines of r until it or ctx ends. Nothing interrupts a read of a terminal: at the end of ctx it is
// left behind.
func lines(ctx context.Context, r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// obeyAll obeys lines until they or ctx end.
func (p *pod) obeyAll(ctx context.Context, lines <-chan string) {
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			if err := p.obey(ctx, line); err != nil {
				p.out.Print(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *pod) obey(ctx context.Context, line string) error {
	command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	key, value, hasValue := strings.Cut(strings.TrimSpace(rest), " ")
	var err error
	switch {
	case command == "set" && hasValue:
		err = p.store.Set(ctx, key, strings.TrimSpace(value))
	case command == "del" && key != "" && !hasValue:
		err = p.store.Delete(ctx, key)
	case command == "list" && key == "":
		p.out.Print(p.list())
	case command != "":
		return fmt.Errorf("%q is none of: set k v, del k, list", line)
	}
	if errors.Is(err, podshare.ErrBroadcast) {
		return nil // it holds here, and the others get it when Redis is back
	}
	return err
}

// list says what the pod holds.
func (p *pod) list() string {
	held := p.store.Snapshot()
	if len(held) == 0 {
		return "holds nothing"
	}
	var entries []string
	for _, key := range slices.Sorted(maps.Keys(held)) {
		entries = append(entries, key+" = "+held[key])
	}
	return "holds " + strings.Join(entries, ", ")
}

// follow says what other pods change.
func (p *pod) follow(events <-chan podshare.Event[string]) {
	for ev := range events {
		switch {
		case ev.Origin == p.store.NodeID(): // written at this terminal
		case ev.Kind == podshare.EventSet:
			p.out.Printf("%s set %s = %s", ev.Origin, ev.Key, ev.Value)
		default:
			p.out.Printf("%s deleted %s", ev.Origin, ev.Key)
		}
	}
}

// hear says how the pod stands to the others when that changes. While Redis is away there is an error for each attempt
// to send: a service would log them.
func (p *pod) hear(err error) {
	var health *podshare.HealthError
	if errors.As(err, &health) {
		p.out.Printf("health: %v", health.To)
	}
}
