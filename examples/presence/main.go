// Presence shows who is online, on every pod, without anybody keeping a list: each session is an owned key, which lives
// as long as the pod that holds its connection.
//
//	go run ./examples/presence
//
// Three pods of a chat service run in this process, on a network that the program can cut. One leaves, one crashes and
// one is cut off for a while; it ends by itself after some twenty seconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// lease is how long sessions outlive the last word of their pod. The default is ten seconds.
const lease = 4 * time.Second

// session is what is known of a connected user.
type session struct {
	Pod    string `json:"pod"`
	Device string `json:"device"`
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	net := transporttest.NewNetwork(1)
	defer net.Close()
	f := &fleet{net: net, out: out, pods: map[string]*podshare.Store[session]{}}
	defer f.close()
	err := errors.Join(
		f.start(ctx, "pod-1", "ada on phone", "bob on laptop"),
		f.start(ctx, "pod-2", "eve on tablet"),
		f.start(ctx, "pod-3", "joe on phone"),
	)
	f.show("everybody is online", 100*time.Millisecond)

	err = errors.Join(err, f.leave("pod-2"))
	f.show("pod-2 was shut down: its users are gone at once", 100*time.Millisecond)

	f.net.Cut("pod-3")
	f.show("pod-3 is cut off: for the others its users are there for the lease, in case it is only a hiccup", lease/2)
	f.show("the lease is over", lease)
	f.net.Heal()
	f.show("pod-3 is back, and with it, by itself, its users", 2*time.Second)

	f.crash("pod-1")
	f.show("pod-1 crashed without a word: its users go when the lease is over", lease+2*time.Second)
	err = errors.Join(err, f.start(ctx, "pod-1", "ada on phone"))
	f.show("pod-1 is started again, and ada reconnects", 100*time.Millisecond)
	return err
}

// fleet is the pods of a service.
type fleet struct {
	net  *transporttest.Network
	out  io.Writer
	pods map[string]*podshare.Store[session]
}

// start runs a pod and connects users to it. In a service each connection handler calls SetOwned when a user connects,
// and Delete when the user leaves.
func (f *fleet) start(ctx context.Context, name string, users ...string) error {
	s, err := podshare.New(ctx, "sessions", f.net.Pod(name),
		podshare.WithNodeID[session](name), podshare.WithLease[session](lease))
	if err != nil {
		return err
	}
	f.pods[name] = s
	for _, user := range users {
		who, device, _ := strings.Cut(user, " on ")
		if err := s.SetOwned(ctx, "online/"+who, session{Pod: name, Device: device}); err != nil {
			return err
		}
	}
	return nil
}

// leave shuts a pod down as a rolling deploy does.
func (f *fleet) leave(name string) error {
	s := f.pods[name]
	delete(f.pods, name)
	return s.Close()
}

// crash ends a pod in the middle of a word: nothing that it sends arrives any more.
func (f *fleet) crash(name string) {
	s := f.pods[name]
	delete(f.pods, name)
	f.net.Cut(name)
	_ = s.Close() // the others do not hear its goodbye
	f.net.Heal()
}

// show prints, after a while, what happened and whom each pod sees.
func (f *fleet) show(what string, after time.Duration) {
	<-time.After(after)
	fmt.Fprintf(f.out, "%s\n", what)
	for _, name := range []string{"pod-1", "pod-2", "pod-3"} {
		s, runs := f.pods[name]
		if !runs {
			continue
		}
		var online []string
		for key, at := range s.Prefix("online/") {
			online = append(online, fmt.Sprintf("%s (%s, %s)", strings.TrimPrefix(key, "online/"), at.Device, at.Pod))
		}
		slices.Sort(online)
		fmt.Fprintf(f.out, "  %s sees: %s\n", name, strings.Join(online, ", "))
	}
	fmt.Fprintln(f.out)
}

func (f *fleet) close() {
	for _, s := range f.pods {
		_ = s.Close()
	}
}
