package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// flagSet is feature flags by name. Values are JSON in the form that encoding/json writes, so that equal
// ones have equal bytes. They are shared with stores: read only.
type flagSet map[string]json.RawMessage

// Limits of a file. What is within them fits into one batch of the store.
const (
	maxFileBytes = 1 << 20
	maxFlags     = 10_000
	maxNameBytes = 256
)

// flagFile is a file of flags that somebody edits while it is served.
type flagFile struct {
	path    string
	content []byte // of the last good look
	problem string // at the last look; "": none
	told    bool   // problem was returned
}

// load reads the file for the first time: here every problem counts.
func (f *flagFile) load() (flagSet, error) {
	content, err := readFile(f.path)
	if err != nil {
		return nil, err
	}
	flags, err := parseFlags(f.path, content)
	if err == nil {
		f.content = content
	}
	return flags, err
}

// look reads the file again. It returns the flags if there is something new, else nil.
//
// Editors truncate and write, or remove and rename; a look in between finds half a file or none. Half a JSON
// object is never a valid one, so nothing wrong is taken for news, and a problem is an error only when the
// next look finds it still there. It is told once.
func (f *flagFile) look() (flagSet, error) {
	content, err := readFile(f.path)
	if err == nil && bytes.Equal(content, f.content) && !f.told {
		f.problem = ""
		return nil, nil
	}
	var flags flagSet
	if err == nil {
		flags, err = parseFlags(f.path, content)
	}
	switch {
	case err == nil: // new, or the problem is over, which is worth telling too
		f.content, f.problem, f.told = content, "", false
		return flags, nil
	case err.Error() != f.problem:
		f.problem, f.told = err.Error(), false // perhaps for a moment only
		return nil, nil
	case f.told:
		return nil, nil
	default:
		f.told = true
		return nil, err
	}
}

// readFile reads a regular file of limited size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // before opening: to open a pipe would wait for its writer
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: no such file", path)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory, want a JSON file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d KiB", path, maxFileBytes>>10)
	}
	return content, nil
}

// parseFlags reads the content of a file. Errors name its path.
func parseFlags(path string, content []byte) (flagSet, error) {
	flags, err := parseObject(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return flags, nil
}

func parseObject(content []byte) (flagSet, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // some editors begin with a byte order mark
	var flags flagSet
	if err := json.Unmarshal(content, &flags); err != nil {
		return nil, jsonError(content, err)
	}
	switch {
	case flags == nil:
		return nil, errors.New("want a JSON object of flags, found null")
	case len(flags) > maxFlags:
		return nil, fmt.Errorf("%d flags, at most %d are served", len(flags), maxFlags)
	}
	for name, value := range flags {
		if name == "" || len(name) > maxNameBytes {
			return nil, fmt.Errorf("flag name %.20q… has %d bytes, want 1 to %d", name, len(name), maxNameBytes)
		}
		canonical, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		flags[name] = canonical
	}
	return flags, nil
}

// jsonError says where in the file an error is.
func jsonError(content []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return errors.New("empty, want a JSON object of flags")
	case errors.As(err, &syntax):
		before := content[:min(int(syntax.Offset), len(content))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n') - 1
		return fmt.Errorf("line %d, column %d: %w", line, max(column, 1), err)
	case errors.As(err, &kind):
		return fmt.Errorf("want a JSON object of flags, found %s", kind.Value)
	default:
		return err
	}
}
