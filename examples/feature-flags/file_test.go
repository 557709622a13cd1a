package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		content string
		want    string // of the error; "": none
	}{
		"an object":             {`{"a": true, "b": {"x": 1}, "c": null}`, ""},
		"no flag":               {`{}`, ""},
		"a byte order mark":     {"\ufeff{}", ""},
		"nothing":               {" \n", "f: empty, want a JSON object of flags"},
		"half an object":        {"{\n\"a\": 1,", "f: line 2, column 7: unexpected end of JSON input"},
		"a misspelt value":      {"{\n  \"a\": tru,\n}", "f: line 2, column 11: invalid character ',' in literal true (expecting 'e')"},
		"text behind the end":   {`{} {}`, "f: line 1, column 4: invalid character '{' after top-level value"},
		"an array":              {`[1]`, "f: want a JSON object of flags, found array"},
		"a number":              {`7`, "f: want a JSON object of flags, found number"},
		"null":                  {`null`, "f: want a JSON object of flags, found null"},
		"a flag without a name": {`{"": 1}`, `f: flag name ""… has 0 bytes, want 1 to 256`},
	} {
		t.Run(name, func(t *testing.T) {
			flags, err := parseFlags("f", []byte(tc.content))
			if tc.want != "" {
				require.EqualError(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			require.NotNil(t, flags)
		})
	}
}

func TestValuesAreCanonical(t *testing.T) {
	a, err := parseFlags("f", []byte(`{"a": {"x" : "<1>"}}`))
	require.NoError(t, err)
	b, err := parseFlags("f", []byte("{\"a\":{\"x\":\n\"\\u003c1\\u003e\"}}"))
	require.NoError(t, err)
	require.True(t, diff(a, b).empty(), "%s and %s", a, b)
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, make([]byte, maxFileBytes+1), 0o600))
	for path, want := range map[string]string{
		dir:                         "is a directory, want a JSON file",
		filepath.Join(dir, "no"):    "no such file",
		large:                       "larger than 1024 KiB",
		filepath.Join(large, "sub"): "not a directory",
	} {
		_, err := readFile(path)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
	}
}

// What an editor, or somebody, does to the file; what each look at it then brings.
func TestLook(t *testing.T) {
	const nothing = "nothing"
	path := filepath.Join(t.TempDir(), "flags.json")
	write := func(content string) func() {
		return func() { require.NoError(t, os.WriteFile(path, []byte(content), 0o600)) }
	}
	replace := func(content string) func() {
		return func() {
			require.NoError(t, os.WriteFile(path+"~", []byte(content), 0o600))
			require.NoError(t, os.Rename(path+"~", path))
		}
	}
	remove := func() { require.NoError(t, os.Remove(path)) }
	leave := func() {}

	write(`{"a":1}`)()
	f := &flagFile{path: path}
	_, err := f.load()
	require.NoError(t, err)

	for _, step := range []struct {
		what string
		do   func()
		want string // the flags' names, an error, or nothing
	}{
		{"untouched", leave, nothing},
		{"truncated while it is written", write(``), nothing},
		{"half written", write(`{"a":1,`), nothing},
		{"written", write(`{"a":1,"b":2}`), "a b"},
		{"touched", write(`{"a":1,"b":2}`), nothing},
		{"replaced by rename", replace(`{"c":3}`), "c"},
		{"removed for a moment", remove, nothing},
		{"and there again", write(`{"c":3}`), nothing},
		{"broken", write(`{"c":`), nothing},
		{"still broken", leave, "unexpected end"},
		{"told once", leave, nothing},
		{"broken in another way", write(`[]`), nothing},
		{"still", leave, "found array"},
		{"removed", remove, nothing},
		{"still removed", leave, "no such file"},
		{"told once again", leave, nothing},
		{"back as it was", write(`{"c":3}`), "c"},
		{"and quiet", leave, nothing},
	} {
		step.do()
		flags, err := f.look()
		got := nothing
		switch {
		case err != nil:
			require.ErrorContains(t, err, path, step.what)
			got = err.Error()
		case flags != nil:
			got = strings.Join(change{set: flags}.names(), " ")
		}
		require.Contains(t, got, step.want, step.what)
	}
}
