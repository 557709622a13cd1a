// Basic is the smallest program that shows two pods sharing a map.
//
//	go run ./examples/basic
//
// Both pods live in this process and are connected by a memory transport. In a service each pod runs one
// store, and the transport is one that crosses the network; nothing else changes.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	t := transport.NewMemoryTransport()
	defer t.Close() // after the stores: the transport is ours

	a, err := podshare.New(ctx, "limits", t, podshare.WithNodeID[int]("pod-a"))
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := podshare.New(ctx, "limits", t, podshare.WithNodeID[int]("pod-b"))
	if err != nil {
		return err
	}
	defer b.Close()

	// A watcher hears of every change from now on, wherever it was made.
	events := b.Watch(ctx)

	fmt.Println("pod-a: Set requests-per-second = 100")
	if err := a.Set(ctx, "requests-per-second", 100); err != nil {
		return err
	}
	show(<-events)

	// pod-b holds the value before it tells its watchers: this reads its own memory.
	value, ok := b.Get("requests-per-second")
	fmt.Printf("pod-b: Get requests-per-second = %d, %t\n\n", value, ok)

	// TrySet writes only if nobody has written since the version was taken.
	version := b.Version("requests-per-second")
	for _, value := range []int{200, 300} {
		won, err := b.TrySet(ctx, "requests-per-second", value, version)
		if err != nil {
			return err
		}
		fmt.Printf("pod-b: TrySet requests-per-second = %d: won = %t\n", value, won)
	}
	show(<-events)

	fmt.Println("\npod-b: Delete requests-per-second")
	if err := b.Delete(ctx, "requests-per-second"); err != nil {
		return err
	}
	show(<-events)
	_, ok = b.Get("requests-per-second")
	fmt.Printf("pod-b: Get requests-per-second: held = %t\n", ok)
	return nil
}

func show(ev podshare.Event[int]) {
	if ev.Kind == podshare.EventSet {
		fmt.Printf("pod-b: watched: %s = %d, by %s\n", ev.Key, ev.Value, ev.Origin)
	} else {
		fmt.Printf("pod-b: watched: %v of %s, by %s\n", ev.Kind, ev.Key, ev.Origin)
	}
}
