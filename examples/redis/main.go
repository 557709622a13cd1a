// Redis shows stores of several processes that are connected by Redis.
//
//	go run ./examples/redis                                 # the whole show, which ends by itself after some seconds
//	go run ./examples/redis -addr localhost:6379 -node a    # one pod, which takes lines until Ctrl-C: start a second
//	go run ./examples/redis -addr localhost:6379 -node b    # one in another terminal
//
// The show uses the Redis at REDIS_ADDR (host:port) if that is set, and else starts a redis-server of its own, which it
// also kills and starts again.
//
// pod.go is what a service would do; show.go is the script, for which server.go runs Redis.
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

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func main() {
	redis.SetLogger(&logging.VoidLogger{}) // Health says that Redis is away; every failed attempt need not
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has printed what is wrong
	default:
		fmt.Fprintln(os.Stderr, "redis:", err)
		os.Exit(1)
	}
}

// run is the program: it ends when the show is over, or with ctx or stdin when it is a pod.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o, err := parseArgs(args, stderr)
	if err != nil {
		return err
	}
	if o.addr != "" {
		return runPod(ctx, o, stdin, stdout)
	}
	if err := runShow(ctx, stdout); ctx.Err() == nil {
		return err
	}
	return nil // Ctrl-C in the middle of it is no failure
}

// options are what the command line says.
type options struct {
	addr, node string // "": the show
	topic      string
}

var errUsage = errors.New("bad usage")

func parseArgs(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("redis", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprintf(out, "usage: redis [-addr host:port -node name]\n\n"+
			"One pod that is connected to others by Redis; without arguments, a show of several.\n\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&o.addr, "addr", "", "host:port of Redis")
	fs.StringVar(&o.node, "node", "", "name of the pod, another one for each")
	fs.StringVar(&o.topic, "topic", "settings", "what pods have in common that shall see each other")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	case fs.NArg() > 0:
		return o, usage(fs, "unexpected %q", fs.Arg(0))
	case (o.addr == "") != (o.node == ""):
		return o, usage(fs, "-addr and -node go together")
	}
	return o, nil
}

func usage(fs *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(fs.Output(), format+"\n", args...)
	fs.Usage()
	return errUsage
}
