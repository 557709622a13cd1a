// Rate-limit gives a client one quota a minute on all pods together, without asking anybody at a request.
//
//	go run ./examples/rate-limit
//
// The pods count in a crdt.GCounter under one key for each client and minute: each adds to its own part, and reads the
// sum. The price is a small excess, of requests admitted while the counts of other pods are under way; the
// program shows how large it is. limiter.go is what to copy from.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/podshare/podshare/transport/transporttest"
)

const (
	quota    = 100                   // requests a minute, on all pods
	delay    = 12 * time.Millisecond // from pod to pod: much, for one network
	interval = 5 * time.Millisecond  // between the requests at one pod
	requests = 50                    // at each pod, each minute
	client   = "ann"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	net := transporttest.NewNetwork(1, transporttest.WithFaults(transporttest.Faults{MinDelay: delay, MaxDelay: delay}))
	defer net.Close()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) // the clock of the demonstration, which skips to the next minute
	var pods []*limiter
	for _, name := range []string{"pod-a", "pod-b", "pod-c"} {
		l, err := newLimiter(ctx, net.Pod(name), name, quota, func() time.Time { return now })
		if err != nil {
			return err
		}
		defer l.store.Close()
		pods = append(pods, l)
	}
	fmt.Fprintf(out, "%d pods share a quota of %d requests a minute. News takes %v from pod to pod.\n", len(pods), quota, delay)
	fmt.Fprintf(out, "Each pod gets %d requests, one every %v.\n\n", requests, interval)
	for range 3 {
		if err := minute(ctx, out, pods); err != nil {
			return err
		}
		now = now.Add(window)
	}
	fmt.Fprintf(out, "\nKeys held: %d, of the last two minutes. Counts of those before were deleted.\n", len(pods[0].store.Keys()))
	fmt.Fprintf(out, "For %v a pod has not heard of a request that another admitted: each of the %d others admits about %d too many.\n",
		delay, len(pods)-1, delay/interval+1)
	return nil
}

// minute sends every pod its requests, and prints what was admitted.
func minute(ctx context.Context, out io.Writer, pods []*limiter) error {
	if err := pods[0].sweep(ctx); err != nil {
		return err
	}
	admitted, sum := make([]int, len(pods)), 0
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for range requests {
		for i, l := range pods {
			ok, err := l.allow(ctx, client)
			if err != nil {
				return err
			}
			if ok {
				admitted[i]++
				sum++
			}
		}
		<-tick.C
	}
	fmt.Fprintf(out, "%s ", pods[0].window(0))
	for i, l := range pods {
		fmt.Fprintf(out, " %s %d,", l.store.NodeID(), admitted[i])
	}
	fmt.Fprintf(out, " together %d: %d above the quota\n", sum, max(sum-quota, 0))
	return nil
}
