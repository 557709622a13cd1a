package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain is the program itself when the show starts it as a pod.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-addr" {
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
		"no argument":   {"", options{topic: "settings"}, nil},
		"a pod":         {"-addr host:1 -node a", options{"host:1", "a", "settings"}, nil},
		"another topic": {"-addr host:1 -node a -topic t", options{"host:1", "a", "t"}, nil},
		"no name":       {"-addr host:1", options{}, errUsage},
		"no Redis":      {"-node a", options{}, errUsage},
		"more":          {"-addr host:1 -node a b", options{}, errUsage},
		"unknown":       {"-pods 3", options{}, errUsage},
		"help":          {"-h", options{}, flag.ErrHelp},
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

func TestShowNeedsNoRedis(t *testing.T) {
	t.Setenv("REDIS_ADDR", "")
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, nil, &out, io.Discard))
	require.Contains(t, out.String(), "apt-get install redis-server")
	require.Contains(t, out.String(), "Nothing was shown.\n")
}

func TestShow(t *testing.T) {
	redisServer(t)
	t.Setenv("REDIS_ADDR", "")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, nil, &out, io.Discard), &out)
	for _, pod := range []string{"pod-a", "pod-b", "pod-c"} {
		require.Regexp(t, `\n  `+pod+` \| health: cut off\n(.*\n)*  `+pod+` \| health: synced\n`, out.String())
		require.Contains(t, out.String(), "\n  "+pod+" | holds banner = hello, dark-mode = off, limit = 100\n")
	}
	require.Regexp(t, `\n  pod-d \| started: holds banner = hello, dark-mode = off, limit = 100\n\nThat was all.\n$`, out.String())
}

func TestShowOnAGivenRedis(t *testing.T) {
	s := newServer(t)
	t.Setenv("REDIS_ADDR", s.addr)
	for range 2 { // what the first leaves behind is not seen by the second
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), nil, nil, &out, io.Discard), &out)
		require.NotContains(t, out.String(), "SIGKILL")
		require.Regexp(t, `\n  pod-d \| started: holds banner = hello, dark-mode = on, trial = yes\n`, out.String())
	}
}

func TestPodSaysWhatItDoesNotUnderstand(t *testing.T) {
	s := newServer(t)
	in := "get k\nset k\ndel\n\nset  k  v w \nlist\ndel k\nlist\n"
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-addr", s.addr, "-node", "a"}, strings.NewReader(in), &out, io.Discard))
	require.Equal(t, `started: holds nothing
"get k" is none of: set k v, del k, list
"set k" is none of: set k v, del k, list
"del" is none of: set k v, del k, list
holds k = v w
holds nothing
`, out.String())
}

func TestPodEndsWithItsContext(t *testing.T) {
	s := newServer(t)
	stdin, terminal := io.Pipe()
	defer terminal.Close()
	stdout, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		defer out.Close()
		ended <- run(ctx, []string{"-addr", s.addr, "-node", "a"}, stdin, out, io.Discard)
	}()
	said := make([]byte, len("started: holds nothing\n"))
	_, err := io.ReadFull(stdout, said)
	require.NoError(t, err)
	require.Equal(t, "started: holds nothing\n", string(said))
	cancel()
	require.NoError(t, <-ended)
}

// redisServer returns the path of the program. A machine without it skips the test, but not where CI=true.
func redisServer(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("SKIPPED, redis-server is not installed")
	}
	require.NoError(t, err)
	return path
}

func newServer(t *testing.T) *server {
	t.Helper()
	s, err := startServer(t.Context(), redisServer(t))
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}
