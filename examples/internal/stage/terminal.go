package stage

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

	"github.com/podshare/podshare"
)

// terminal is a store of strings that obeys lines.
type terminal struct {
	store *podshare.Store[string]
	out   *log.Logger // for several goroutines: what comes from other pods is printed in between
}

// Obey has the store do what the lines of stdin say, and prints what other pods change, until ctx or stdin ends. Then it
// closes the store.
func Obey(ctx context.Context, store *podshare.Store[string], stdin io.Reader, out *log.Logger) error {
	t := &terminal{store, out}
	watched := make(chan struct{})
	events := store.Watch(context.Background()) // Close ends it
	go func() {
		defer close(watched)
		t.follow(events)
	}()
	out.Printf("started: %s", t.list())

	t.obeyAll(ctx, lines(ctx, stdin))
	err := store.Close() // sends what waits, and stores what is not stored
	<-watched
	return err
}

// Hear returns an error handler that says how a store stands to the others when that changes. While they are out of reach
// there may be an error for each attempt to send: a service would log them.
func Hear(out *log.Logger) func(error) {
	return func(err error) {
		var health *podshare.HealthError
		if errors.As(err, &health) {
			out.Printf("health: %v", health.To)
		}
	}
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
func (t *terminal) obeyAll(ctx context.Context, lines <-chan string) {
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			if err := t.obey(ctx, line); err != nil {
				t.out.Print(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (t *terminal) obey(ctx context.Context, line string) error {
	command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	key, value, hasValue := strings.Cut(strings.TrimSpace(rest), " ")
	var err error
	switch {
	case command == "set" && hasValue:
		err = t.store.Set(ctx, key, strings.TrimSpace(value))
	case command == "del" && key != "" && !hasValue:
		err = t.store.Delete(ctx, key)
	case command == "list" && key == "":
		t.out.Print(t.list())
	case command != "":
		return fmt.Errorf("%q is none of: set k v, del k, list", line)
	}
	if errors.Is(err, podshare.ErrBroadcast) {
		return nil // it holds here, and the others get it as soon as they are in reach
	}
	return err
}

// list says what the store holds.
func (t *terminal) list() string {
	held := t.store.Snapshot()
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
func (t *terminal) follow(events <-chan podshare.Event[string]) {
	for ev := range events {
		switch {
		case ev.Origin == t.store.NodeID(): // written at this terminal
		case ev.Kind == podshare.EventSet:
			t.out.Printf("%s set %s = %s", ev.Origin, ev.Key, ev.Value)
		default:
			t.out.Printf("%s deleted %s", ev.Origin, ev.Key)
		}
	}
}
