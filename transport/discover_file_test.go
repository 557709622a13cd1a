package transport_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// fileMost is the longest time until a change of a file is noticed.
const fileMost = 7 * time.Second

func peersFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peers")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// replaceFile renames a new file to path, as it should be done.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func watchFile(t *testing.T, path string) (*watcher, *reports) {
	t.Helper()
	errs := &reports{}
	return watch(t, &transport.FileDiscoverer{Path: path, OnError: errs.add}).after(fileMost), errs
}

func TestFilePeersAreThoseOfTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"a line":         {"10.0.0.1:70\n", []string{"10.0.0.1:70"}},
		"without an end": {"10.0.0.1:70", []string{"10.0.0.1:70"}},
		"several":        {"b:1\na:1\nb:1\n[::1]:2\n", []string{"[::1]:2", "a:1", "b:1"}},
		"Windows' lines": {"b:1\r\na:1\r\n", []string{"a:1", "b:1"}},
		"comments":       {"# all pods\n\n  a:1  # the first\n\t#b:1\n", []string{"a:1"}},
		"none":           {"# nobody", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, errs := watchFile(t, peersFile(t, c.content))
				w.wantCalls(1, c.want...)
				require.NoError(t, errs.all())
			})
		})
	}
}

func TestFilePeersFollowTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := peersFile(t, "a:1\n")
		w, errs := watchFile(t, path)
		replaceFile(t, path, "b:1\n") // as long as before: nothing but the content tells
		w.after(fileMost).wantCalls(2, "b:1")
		require.NoError(t, os.WriteFile(path, []byte("c:1\n"), 0o600))
		w.after(fileMost).wantCalls(3, "c:1")
		replaceFile(t, path, "# reordered, but the same\nc:1\n")
		w.after(fileMost).wantCalls(3, "c:1")
		replaceFile(t, path, "# there is nobody\n")
		w.after(fileMost).wantCalls(4)
		require.NoError(t, errs.all())
	})
}

// A ConfigMap's file is a link into a directory that is itself a link, and that one is replaced.
func TestFilePeersFollowAConfigMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		version := func(name, content string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, "peers"), []byte(content), 0o600))
			require.NoError(t, os.Symlink(name, filepath.Join(dir, "..data_tmp")))
			require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		}
		version("..1", "a:1\n")
		require.NoError(t, os.Symlink(filepath.Join("..data", "peers"), filepath.Join(dir, "peers")))
		w, errs := watchFile(t, filepath.Join(dir, "peers"))
		w.wantCalls(1, "a:1")
		version("..2", "b:1\n")
		w.after(fileMost).wantCalls(2, "b:1")
		require.NoError(t, errs.all())
	})
}

func TestFileThatCannotBeUsedChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    string
	}{
		"empty":         {"", "it is empty"},
		"blank":         {" \n\n\t\n", "it is empty"},
		"half a line":   {"b:1\n10.0.0.1:", "line 2"},
		"no port":       {"b:1\n\n10.0.0.1\n", `line 3: "10.0.0.1" is no host:port`},
		"no IP":         {"10.0.0.256:1\n", "neither an IP address nor a host name"},
		"port 0":        {"b:0\n", "port 0"},
		"a port's name": {"b:http\n", "no port"},
		"a sign":        {"b:+1\n", "no port"},
		"two on a line": {"b:1 c:1\n", "line 1"},
		"bytes":         {"\x00\xff:1\n", "line 1"},
		"too large":     {strings.Repeat("b:1\n", 1<<18) + "\n", "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := peersFile(t, "a:1\n")
				w, errs := watchFile(t, path)
				replaceFile(t, path, c.content)
				w.after(time.Minute).wantCalls(1, "a:1")
				require.ErrorContains(t, errs.all(), "peers in file "+path)
				require.ErrorContains(t, errs.all(), c.want)
				require.Equal(t, 1, errs.count(), "the same error is reported once")

				replaceFile(t, path, "b:1\n")
				w.after(fileMost).wantCalls(2, "b:1")
			})
		})
	}
}

func TestFileMayBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers")
		w, errs := watchFile(t, path)
		w.wantCalls(0)
		require.ErrorIs(t, errs.take(), os.ErrNotExist)
		replaceFile(t, path, "a:1\n")
		w.after(fileMost).wantCalls(1, "a:1")
		require.NoError(t, os.Remove(path))
		w.after(time.Hour).wantCalls(1, "a:1")
		require.ErrorIs(t, errs.take(), os.ErrNotExist)
		require.NoError(t, os.Mkdir(path, 0o700))
		w.after(time.Hour).wantCalls(1, "a:1")
		require.Error(t, errs.take())
	})
}

// Whoever writes the file in place takes a moment: every part of it would be a good file.
func TestFileThatIsBeingWrittenDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := peersFile(t, "a:1\nb:1\n")
		w, errs := watchFile(t, path)
		for range 100 { // slowly, so that it is looked at
			for _, content := range []string{"# peers\n", "# peers\na:1\n", "# peers\na:1\nb:1"} {
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
				w.after(200 * time.Millisecond)
			}
		}
		require.NoError(t, os.WriteFile(path, []byte("# peers\na:1\nb:12\n"), 0o600))
		w.wantCalls(1, "a:1", "b:1")
		require.ErrorContains(t, errs.all(), "it changed while it was read")
		w.after(fileMost).wantCalls(2, "a:1", "b:12")
	})
}
