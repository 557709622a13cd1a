// K8s is a small service for Kubernetes: feature flags over HTTP, which every replica serves from its own memory and which
// replicas tell each other by TCP, without any server.
//
//	go run ./examples/k8s             # replicas on loopback, one of which is replaced; ends by itself
//	go run ./examples/k8s -serve …    # what the image runs, until SIGTERM; README.md says how
//
// replica.go is the life of a replica, mesh.go connects it, web.go serves it; config.go is the command line, demo.go the
// script.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has printed what is wrong
	default:
		fmt.Fprintln(os.Stderr, "k8s:", err)
		os.Exit(1)
	}
}

// run is the program: it ends when the demonstration is over, or with ctx when it serves.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	c, err := parseConfig(args, getenv, stderr)
	if err != nil {
		return err
	}
	if !c.serve {
		return demo(ctx, stdout)
	}
	return serve(ctx, c, slog.New(slog.NewTextHandler(stderr, nil)))
}
