// Chat-cache keeps the newest messages of chat rooms on every pod, and lets every pod add to them at any time.
//
//	go run ./examples/chat-cache
//
// A room is a set that only grows, a crdt.GSet, of which the Merger keeps the newest messages. Pods that take messages at
// the same moment, or on both sides of a cut network, overwrite nothing: the sets are joined when they meet.
//
// The bound is part of the join. Whatever order sets are joined in, the newest n of all messages remain: a
// message that one pod drops has n newer ones there, and so n newer ones in every room that this one is joined into.
// That would not be so for "at most n, whichever came first".
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/crdt"
	"github.com/podshare/podshare/transport/transporttest"
)

const (
	room     = "lobby"
	newest   = 4                // messages kept of a room
	patience = 30 * time.Second // for a single step, before the program gives up
)

// messages are strings that begin with their time, so the order of the set is theirs. What follows the time
// tells apart messages of one moment, by author and text.
type messages = crdt.GSet[string]

// keepNewest is the Merger: the union, bounded.
func keepNewest(a, b messages) messages { return a.Merge(b).Top(newest) }

// pod is one pod of the chat service.
type pod struct {
	name   string
	store  *podshare.Store[messages]
	events <-chan podshare.Event[messages]
}

func open(ctx context.Context, t podshare.Transport, name string) (*pod, error) {
	store, err := podshare.New(ctx, "chat", t, podshare.WithNodeID[messages](name), podshare.WithMerger(keepNewest))
	if err != nil {
		return nil, err
	}
	return &pod{name, store, store.Watch(ctx)}, nil
}

// post adds a message. Only the message is set: nothing is read first, and no lock is needed.
func (p *pod) post(ctx context.Context, at time.Time, text string) (message string, err error) {
	message = at.UTC().Format("15:04:05 ") + text // a service would write the date, and fractions
	return message, p.store.Set(ctx, room, crdt.NewGSet(message))
}

func (p *pod) messages() []string {
	m, _ := p.store.Get(room)
	return slices.Collect(m.All())
}

// await waits until the pod holds these messages.
func (p *pod) await(ctx context.Context, want []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !slices.Equal(p.messages(), want) {
		select {
		case <-p.events: // something has changed: look again
		case <-ctx.Done():
			return fmt.Errorf("%s holds %q, want %q: %w", p.name, p.messages(), want, ctx.Err())
		}
	}
	return nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// demo is the pods of a chat service, all in this process, on a network that can be cut.
type demo struct {
	out     io.Writer
	net     *transporttest.Network
	a, b, c *pod
	now     time.Time
}

func run(ctx context.Context, out io.Writer) error {
	d := &demo{out: out, net: transporttest.NewNetwork(1), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	defer d.net.Close()
	for name, p := range map[string]**pod{"pod-a": &d.a, "pod-b": &d.b, "pod-c": &d.c} {
		var err error
		if *p, err = open(ctx, d.net.Pod(name), name); err != nil {
			return err
		}
		defer (*p).store.Close()
	}
	return d.play(ctx)
}

func (d *demo) play(ctx context.Context) error {
	d.say("Each pod keeps the newest %d messages of a room.\n\nEvery pod takes a message:", newest)
	hello := d.post(ctx, d.a, "ann: hello")
	hi := d.post(ctx, d.b, "bob: hi ann")
	all := d.post(ctx, d.c, "eve: hi all")
	if err := d.settle(ctx, []string{hello, hi, all}, d.a, d.b, d.c); err != nil {
		return err
	}

	d.say("\nThe network between pod-c and the others is cut, and everybody goes on:")
	d.net.Cut("pod-c")
	d.net.SetPodFaults("pod-c", transporttest.PodFaults{StoreError: 1}) // no way around by the stored snapshot
	lunch := d.post(ctx, d.a, "ann: lunch?")
	anybody := d.post(ctx, d.c, "eve: anybody here?")
	noon := d.post(ctx, d.b, "bob: at noon")
	still := d.post(ctx, d.c, "eve: hello?")
	if err := d.settle(ctx, []string{hi, all, lunch, noon}, d.a, d.b); err != nil {
		return err
	}
	if err := d.settle(ctx, []string{hi, all, anybody, still}, d.c); err != nil {
		return err
	}

	d.say("\nThe network is whole again. Nothing was overwritten, and all keep the same newest %d:", newest)
	d.net.SetPodFaults("pod-c", transporttest.PodFaults{})
	d.net.Heal()
	return d.settle(ctx, []string{lunch, anybody, noon, still}, d.a, d.b, d.c)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// post has a pod take a message, a second after the one before, and returns it as it is kept.
func (d *demo) post(ctx context.Context, p *pod, text string) string {
	d.now = d.now.Add(time.Second)
	message, err := p.post(ctx, d.now, text)
	if err != nil {
		d.say("  %s: %v", p.name, err) // at worst not sent yet: it is kept here, and repair delivers it
	}
	d.say("  %s takes %s", p.name, message)
	return message
}

// settle waits until the pods hold these messages, and shows them.
func (d *demo) settle(ctx context.Context, want []string, pods ...*pod) error {
	names := make([]string, 0, len(pods))
	for _, p := range pods {
		if err := p.await(ctx, want); err != nil {
			return err
		}
		names = append(names, p.name)
	}
	d.say("  %s now:\n    %s", strings.Join(names, ", "), strings.Join(want, "\n    "))
	return nil
}
