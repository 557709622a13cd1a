package podshare_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// How does a program make sure that a write outlives its pod?
func ExampleStore_Await() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	a, b, end := pods[int]()
	defer end()

	_ = a.Set(ctx, "order", 42)
	fmt.Println(a.Await(ctx, 1))
	fmt.Println(b.Get("order"))

	var few *podshare.AwaitError
	if err := a.Await(ctx, 2); errors.As(err, &few) {
		fmt.Println(few.Nodes, "of", few.Want)
	}
	// Output:
	// <nil>
	// 42 true
	// [pod-b] of 2
}

// How does a request read on one pod what the request before it wrote on another?
func ExampleStore_WaitFor() {
	ctx := context.Background()
	a, b, end := pods[string]()
	defer end()

	_ = a.Set(ctx, "cart", "one book")
	seen := a.Version("cart") // travels with the answer, in a cookie say

	if err := b.WaitFor(ctx, "cart", seen); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Get("cart"))
	// Output: one book true
}

// How does a pod begin to serve only when it has caught up?
func ExampleStore_Synced() {
	ctx := context.Background()
	a, _, end := pods[int]()
	defer end()

	if err := a.Synced(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Ready())
	// Output: true
}

// How does a pod start while the transport is down?
func ExampleWithBackgroundStart() {
	t := transport.NewMemoryTransport()
	t.Close() // an outage
	s, err := podshare.New(context.Background(), "example", t, podshare.WithBackgroundStart[int]())
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	fmt.Println(s.Health().State, s.Ready())
	fmt.Println(errors.Is(s.Set(context.Background(), "k", 1), podshare.ErrBroadcast))
	fmt.Println(s.Get("k"))
	// Output:
	// cut off false
	// true
	// 1 true
}

// How does a program see how long writes take from pod to pod?
func ExampleDelays_Quantile() {
	d := podshare.Delays{Count: 10}
	d.Buckets[7], d.Buckets[12] = 9, 1
	fmt.Println(d.Quantile(0.5), d.Quantile(0.99))
	// Output: 128µs 4.096ms
}
