package transport_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// How does a map survive a restart of all pods?
func ExampleWithSnapshotFile() {
	dir, err := os.MkdirTemp("", "snapshots") // in production: the pod's own volume
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	run := func(use func(ctx context.Context, flags *podshare.Store[bool])) {
		ctx := context.Background()
		t, err := transport.WithSnapshotFile(transport.NewMemoryTransport(), dir, transport.WithSnapshotFileOnError(func(err error) { log.Print(err) }))
		if err != nil {
			log.Fatal(err)
		}
		defer t.Close() // and with it the memory transport, which forgets everything
		flags, err := podshare.New[bool](ctx, "flags", t)
		if err != nil {
			log.Fatal(err)
		}
		defer flags.Close()
		use(ctx, flags)
	}

	run(func(ctx context.Context, flags *podshare.Store[bool]) {
		if err := flags.Set(ctx, "new-checkout", true); err != nil {
			log.Fatal(err)
		}
	})
	run(func(_ context.Context, flags *podshare.Store[bool]) {
		fmt.Println(flags.Get("new-checkout"))
	})
	// Output: true true
}
