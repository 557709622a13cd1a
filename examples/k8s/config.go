package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// config is what a replica is told: by flags what all have in common, by the environment what is its own or secret.
type config struct {
	serve    bool
	http     string // host:port for clients and probes
	mesh     string // IP address for other replicas; "": all of this host
	meshPort int    // the same for all
	service  string // the headless Service that has all replicas
	discover string // how its replicas are found: dns or kubernetes
	tls      string // folder with tls.crt, tls.key and ca.crt; "": there are secrets

	pod     string   // POD_NAME
	ip      string   // POD_IP
	secrets [][]byte // MESH_SECRET, and MESH_SECRET_2 while one is replaced

	lookupHost func(ctx context.Context, host string) ([]string, error) // for DNS; nil: that of this host
}

var errUsage = errors.New("bad usage")

func parseConfig(args []string, getenv func(string) string, out io.Writer) (config, error) {
	c := config{pod: getenv("POD_NAME"), ip: getenv("POD_IP")}
	for _, name := range []string{"MESH_SECRET", "MESH_SECRET_2"} {
		if secret := getenv(name); secret != "" {
			c.secrets = append(c.secrets, []byte(secret))
		}
	}
	fs := flag.NewFlagSet("k8s", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprintf(out, "usage: k8s [-serve …]\n\n"+
			"One replica of a service of feature flags; without -serve, a demonstration with several.\n"+
			"It reads POD_NAME, POD_IP and, unless there is -tls, MESH_SECRET (and MESH_SECRET_2) from the environment.\n\n")
		fs.PrintDefaults()
	}
	fs.BoolVar(&c.serve, "serve", false, "serve until SIGTERM")
	fs.StringVar(&c.http, "http", ":8080", "host:port for clients and probes")
	fs.IntVar(&c.meshPort, "mesh-port", 7946, "port for other replicas")
	fs.StringVar(&c.service, "service", "flags-mesh", "name of the headless Service that has all replicas")
	fs.StringVar(&c.discover, "discover", "dns", "how replicas are found: dns, or kubernetes (EndpointSlices)")
	fs.StringVar(&c.tls, "tls", "", "folder with tls.crt, tls.key and ca.crt: replicas know each other by certificates")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c, err
	case err != nil:
		return c, errUsage
	case fs.NArg() > 0:
		return c, usage(fs, "unexpected %q", fs.Arg(0))
	case !c.serve && fs.NFlag() > 0:
		return c, usage(fs, "the demonstration takes no flags; did you mean to -serve?")
	case !c.serve:
		return c, nil
	case c.discover != "dns" && c.discover != "kubernetes":
		return c, usage(fs, "-discover %s is neither dns nor kubernetes", c.discover)
	case c.pod == "" || c.ip == "":
		return c, usage(fs, "POD_NAME and POD_IP must say who this is")
	case c.tls == "" && c.secrets == nil:
		return c, usage(fs, "set MESH_SECRET or -tls: whoever reaches a mesh without could write flags")
	}
	return c, nil
}

func usage(fs *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(fs.Output(), format+"\n", args...)
	fs.Usage()
	return errUsage
}
