package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain is the program itself when the show starts it as a pod.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-node" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestParseArgs(t *testing.T) {
	for name, tc := range map[string]struct {
		args string
		want options
		err  error
	}{
		"no argument":         {"", options{}, nil},
		"a pod":               {"-node a -listen :1 -peers b:1,c:1 -secret s", options{"a", ":1", []string{"b:1", "c:1"}, "s"}, nil},
		"one that is dialled": {"-node a -listen :1", options{"a", ":1", nil, ""}, nil},
		"one that dials":      {"-node a -peers b:1", options{"a", "", []string{"b:1"}, ""}, nil},
		"one out of reach":    {"-node a", options{}, errUsage},
		"no name":             {"-listen :1", options{}, errUsage},
		"more":                {"-node a -listen :1 b", options{}, errUsage},
		"unknown":             {"-pods 3", options{}, errUsage},
		"help":                {"-h", options{}, flag.ErrHelp},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseArgs(strings.Fields(tc.args), io.Discard)
			require.ErrorIs(t, err, tc.err)
			if err == nil {
				require.Equal(t, tc.want, o)
			}
		})
	}
}

func TestShow(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, nil, &out, io.Discard), &out)
	for _, pod := range []string{"pod-a", "pod-b", "pod-c"} {
		require.Contains(t, out.String(), "\n  "+pod+" | holds banner = hello, dark-mode = on, trial = yes\n")
		require.Contains(t, out.String(), "\n  "+pod+" | holds banner = hello, dark-mode = off, limit = 100\n")
	}
	require.Regexp(t, `\n  It held everything \d+ ms after its process was started\.\n`, out.String())
	require.Regexp(t, `\n  pod-a \| p2p: connection from 127.0.0.1 refused: .*secret`, out.String())
	require.Regexp(t, `\nThat was all\.\n$`, out.String())
}

func TestPodSaysWhatItDoesNotUnderstand(t *testing.T) {
	in := "get k\nset k\ndel\n\nset  k  v w \nlist\ndel k\nlist\n"
	var out bytes.Buffer
	args := []string{"-node", "a", "-listen", "127.0.0.1:0", "-secret", "a secret of tests alone"}
	require.NoError(t, run(t.Context(), args, strings.NewReader(in), &out, io.Discard))
	require.Regexp(t, `^listens at 127\.0\.0\.1:\d+
started: holds nothing
"get k" is none of: set k v, del k, list
"set k" is none of: set k v, del k, list
"del" is none of: set k v, del k, list
holds k = v w
holds nothing
$`, out.String())
}

func TestPodEndsWithItsContext(t *testing.T) {
	stdin, terminal := io.Pipe()
	defer terminal.Close()
	stdout, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- run(ctx, []string{"-node", "a", "-listen", "127.0.0.1:0", "-secret", "a secret of tests alone"}, stdin, out, io.Discard)
	}()
	for said := bufio.NewScanner(stdout); said.Scan(); { // until the pod has closed it
		if said.Text() == "started: holds nothing" {
			cancel()
		}
	}
	require.Error(t, ctx.Err(), "it never started")
	require.NoError(t, <-ended)
}

func TestPodEndsWithItsContextWhileItStarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	args := []string{"-node", "a", "-listen", "127.0.0.1:0", "-secret", "a secret of tests alone"}
	require.NoError(t, run(ctx, args, strings.NewReader(""), io.Discard, io.Discard))
}

func TestPodNeedsALongSecret(t *testing.T) {
	err := run(t.Context(), []string{"-node", "a", "-listen", "127.0.0.1:0", "-secret", "short"}, nil, io.Discard, io.Discard)
	require.EqualError(t, err, "p2p: a secret has 5 bytes, at least 16 are needed")
}
