// Feature-flags serves a JSON file of feature flags to several pods and keeps them up to date while the file
// is edited.
//
//	go run ./examples/feature-flags                     # a scripted demonstration that ends by itself
//	go run ./examples/feature-flags flags.json          # your file, until Ctrl-C
//	go run ./examples/feature-flags -pods 5 flags.json
//
// The file is one JSON object, from the name of a flag to any value. The pods live in this process, each with
// a store of its own; between real pods only the transport is another.
//
// file.go reads the file and notices edits, change.go compares it with what the pods hold, fleet.go runs the
// pods, server.go joins the three, print.go prints, demo.go is the script.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has printed what is wrong
	default:
		fmt.Fprintln(os.Stderr, "feature-flags:", err)
		os.Exit(1)
	}
}

// run is the program: it ends when the demonstration is over, or with ctx when it serves a file.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseArgs(args, stderr)
	if err != nil {
		return err
	}
	p := newPrinter(stdout)
	if o.path == "" {
		return demo(ctx, o, p)
	}
	return serve(ctx, o, p)
}

// serve serves a file to pods on a memory transport until ctx ends.
func serve(ctx context.Context, o options, p *printer) error {
	t := transport.NewMemoryTransport()
	defer t.Close()
	f := newFleet(func(string) podshare.Transport { return t }, p)
	defer f.close()
	s, err := startServer(ctx, o, f, p)
	if err != nil {
		return ifRunning(ctx, err)
	}
	p.printf("\nEdit %s to see the change on every pod; Ctrl-C ends.\n", o.path)
	s.run(ctx)
	f.close()
	p.printf("\nStopped at revision %d, all pods are closed.\n", f.revision())
	return nil
}

// ifRunning returns err, but nil for one that only says that ctx has ended: that is no failure here.
func ifRunning(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// options are what the command line says.
type options struct {
	path string // "": the demonstration
	pods int
	poll time.Duration
}

const maxPods = 50

var errUsage = errors.New("bad usage")

// parseArgs reads the command line; flags may also follow the file.
func parseArgs(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("feature-flags", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprintf(out, "usage: feature-flags [-pods N] [-poll interval] [flags.json]\n\n"+
			"Serves the flags of a JSON file to N pods and applies edits; without a file, a demonstration.\n\n")
		fs.PrintDefaults()
	}
	fs.IntVar(&o.pods, "pods", 3, "number of pods")
	fs.DurationVar(&o.poll, "poll", 200*time.Millisecond, "time between two looks at the file")
	for rest := args; len(rest) > 0; {
		if err := fs.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return o, err
		} else if err != nil {
			return o, errUsage
		}
		if rest = fs.Args(); len(rest) > 0 {
			if o.path != "" || rest[0] == "" {
				return o, usage(fs, "want one file, got also %q", rest[0])
			}
			o.path, rest = rest[0], rest[1:]
		}
	}
	switch {
	case o.pods < 1 || o.pods > maxPods:
		return o, usage(fs, "-pods %d is not in 1 to %d", o.pods, maxPods)
	case o.pods < 2 && o.path == "":
		return o, usage(fs, "the demonstration cuts one of the pods off, it needs two")
	case o.poll < time.Millisecond:
		return o, usage(fs, "-poll %v is less than a millisecond", o.poll)
	}
	return o, nil
}

func usage(fs *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(fs.Output(), format+"\n", args...)
	fs.Usage()
	return errUsage
}
