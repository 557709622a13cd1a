package main

import (
	"context"
	"io"
	"log"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/examples/internal/stage"
	"github.com/podshare/podshare/transport"
)

// runPod runs a pod, a store of strings that obeys the lines of a terminal, until ctx or stdin ends.
func runPod(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) error {
	t, err := transport.NewRedisTransport(transport.RedisOptions{
		Addr:        o.addr,
		SnapshotTTL: time.Hour, // what an example leaves behind
	})
	if err != nil {
		return err
	}
	defer t.Close()

	out := log.New(stdout, "", 0)
	store, err := podshare.New(ctx, o.topic, t,
		podshare.WithNodeID[string](o.node),
		podshare.WithErrorHandler[string](stage.Hear(out)))
	if err != nil {
		return err
	}
	return stage.Obey(ctx, store, stdin, out)
}
