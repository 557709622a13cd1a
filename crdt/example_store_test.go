package crdt_test

import (
	"context"
	"fmt"
	"log"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/crdt"
	"github.com/podshare/podshare/transport"
)

// How is a type of this package the value of a Store?
func Example() {
	ctx := context.Background()
	t := transport.NewMemoryTransport() // connects the stores of one process
	defer t.Close()
	open := func(pod string) *podshare.Store[crdt.GCounter] {
		s, err := podshare.New(ctx, "visits", t,
			podshare.WithNodeID[crdt.GCounter](pod), podshare.WithMerger(crdt.GCounter.Merge))
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	a, b := open("pod-a"), open("pod-b")
	defer a.Close()
	defer b.Close()
	events := b.Watch(ctx)

	// Each pod sets its own total; nobody reads first, and nobody's total is overwritten.
	_ = a.Set(ctx, "home", crdt.GCounter{}.Add("pod-a", 2))
	_ = b.Set(ctx, "home", crdt.GCounter{}.Add("pod-b", 3))
	<-events
	<-events

	visits, _ := b.Get("home")
	fmt.Println(visits.Value())
	// Output: 5
}
