// P2p shows stores of several processes that are connected with each other by TCP, without any server.
//
//	go run ./examples/p2p                                    # the whole show, which ends by itself after some seconds
//
// or a pod in each of several terminals, which takes lines until Ctrl-C:
//
//	go run ./examples/p2p -node a -listen localhost:7001 -peers localhost:7002 -secret 'of 16 bytes or more'
//	go run ./examples/p2p -node b -listen localhost:7002 -peers localhost:7001 -secret 'of 16 bytes or more'
//
// pod.go is what a service would do; show.go is the script.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program the hard way
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has printed what is wrong
	default:
		fmt.Fprintln(os.Stderr, "p2p:", err)
		os.Exit(1)
	}
}

// run is the program: it ends when the show is over, or with ctx or stdin when it is a pod.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o, err := parseArgs(args, stderr)
	if err != nil {
		return err
	}
	if o.node != "" {
		return runPod(ctx, o, stdin, stdout)
	}
	if err := runShow(ctx, stdout); ctx.Err() == nil {
		return err
	}
	return nil // Ctrl-C in the middle of it is no failure
}

// options are what the command line says.
type options struct {
	node   string // "": the show
	listen string
	peers  []string
	secret string // "": plaintext
}

var errUsage = errors.New("bad usage")

func parseArgs(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("p2p", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprintf(out, "usage: p2p [-node name -listen host:port -peers host:port,… -secret text]\n\n"+
			"One pod of a mesh; without arguments, a show of several.\n\n")
		fs.PrintDefaults()
	}
	fs.StringVar(&o.node, "node", "", "name of the pod, another one for each")
	fs.StringVar(&o.listen, "listen", "", "host:port at which other pods reach this one")
	peers := fs.String("peers", "", "host:port of other pods, separated by commas")
	// Whoever may list the processes of this host reads it here: a service takes it from a file or its environment.
	fs.StringVar(&o.secret, "secret", "", "what all pods know and nobody else, 16 bytes or more; without it connections are plaintext")
	err := fs.Parse(args)
	if *peers != "" {
		o.peers = strings.Split(*peers, ",")
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	case fs.NArg() > 0:
		return o, usage(fs, "unexpected %q", fs.Arg(0))
	case fs.NFlag() > 0 && o.node == "":
		return o, usage(fs, "a pod needs a -node")
	case o.node != "" && o.listen == "" && o.peers == nil:
		return o, usage(fs, "a pod needs to -listen, or -peers")
	}
	return o, nil
}

func usage(fs *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(fs.Output(), format+"\n", args...)
	fs.Usage()
	return errUsage
}
