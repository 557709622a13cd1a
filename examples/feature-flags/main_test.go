package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseArgs(t *testing.T) {
	for name, tc := range map[string]struct {
		args string
		want options
		err  error
	}{
		"no argument":              {"", options{"", 3, 200 * time.Millisecond}, nil},
		"a file":                   {"f.json", options{"f.json", 3, 200 * time.Millisecond}, nil},
		"flags before the file":    {"-pods 5 -poll 1s f.json", options{"f.json", 5, time.Second}, nil},
		"flags behind the file":    {"f.json -pods 1", options{"f.json", 1, 200 * time.Millisecond}, nil},
		"two files":                {"f.json g.json", options{}, errUsage},
		"no pod":                   {"-pods 0 f.json", options{}, errUsage},
		"too many pods":            {"-pods 51 f.json", options{}, errUsage},
		"a demonstration of one":   {"-pods 1", options{}, errUsage},
		"no time between looks":    {"-poll 0s f.json", options{}, errUsage},
		"an unknown flag":          {"-port 80", options{}, errUsage},
		"help":                     {"-h", options{}, flag.ErrHelp},
		"not a number behind file": {"f.json -pods many", options{}, errUsage},
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

func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), nil, &out, io.Discard))
		for _, want := range []string{
			`edits applied +4\n`,
			`edits refused +2\n`,
			`pods agree +yes, all 4\n`,
			`dark-mode +true +true +true +true\n`,
			`new-checkout( +\{"percent":50\}){4}\n`,
			`maintenance +true +true +false \*\n`, // pod-3 is cut off
			`line \d+, column \d+: `,
			`no such file`,
		} {
			require.Regexp(t, regexp.MustCompile(want), out.String())
		}
	})
}

func TestDemoStopsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // in the middle of it
		defer cancel()
		var out bytes.Buffer
		require.NoError(t, run(ctx, nil, &out, io.Discard))
		require.NotContains(t, out.String(), "Summary")
	})
}

func TestServesAFileUntilItsContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flags.json")
	write := func(content string) { require.NoError(t, os.WriteFile(path, []byte(content), 0o600)) }
	write(`{"a": 1, "b": 2}`)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out buffer
		var err error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			err = run(ctx, []string{"-pods", "2", path}, &out, io.Discard)
		}()
		look := func() string {
			time.Sleep(time.Second) // of the bubble's time: several looks at the file
			synctest.Wait()
			return out.take()
		}
		require.Regexp(t, `Revision 1:\n  \+ a  1\n  \+ b  2\n(.*\n)*  a +1 +1\n`, look())
		write(`{"a": 1, "c": 3}`)
		require.Regexp(t, `Revision 2:\n  \+ c  3\n  - b  \(was 2\)\n(.*\n)*  c +3 +3\n`, look())
		write(`{"a": `)
		require.Contains(t, look(), "Not applied, the pods keep what they have: "+path+": line 1, column 6")
		require.Empty(t, look())
		require.NoError(t, os.Remove(path))
		require.Contains(t, look(), "no such file")
		write(`{}`)
		require.Regexp(t, `Revision 3:\n  - a  \(was 1\)\n  - c  \(was 3\)\n`, look())
		cancel()
		<-ended
		require.NoError(t, err)
		require.Contains(t, out.take(), "Stopped at revision 3, all pods are closed.")
	})
}

func TestServeRefusesABadFile(t *testing.T) {
	dir := t.TempDir()
	array := filepath.Join(dir, "array.json")
	require.NoError(t, os.WriteFile(array, []byte(`[]`), 0o600))
	for path, want := range map[string]string{
		dir:                           dir + ": is a directory, want a JSON file",
		array:                         array + ": want a JSON object of flags, found array",
		filepath.Join(dir, "nowhere"): filepath.Join(dir, "nowhere") + ": no such file",
	} {
		require.EqualError(t, run(t.Context(), []string{path}, io.Discard, io.Discard), want)
	}
}

func TestManyPodsShareAColumn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flags.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"url": "http://x?a&b"}`), 0o600))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var out bytes.Buffer
		require.NoError(t, run(ctx, []string{"-pods", "9", path}, &out, io.Discard))
		require.Regexp(t, `pod-6 +3 more\n`, out.String())
		require.Regexp(t, `  url( +"http://x\?a&b"){7}\n`, out.String())
	})
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what was written since the last call.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}
