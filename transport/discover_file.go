package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// maxPeersFile bounds what is read of a file: some 50,000 peers.
	maxPeersFile = 1 << 20

	// fileSettle is for how long a file must not change before it counts: long enough for whoever writes it in place to
	// write the rest.
	fileSettle = 250 * time.Millisecond
)

// FileDiscoverer reads the peers from a file again and again. The file has one host:port a line; blank lines do not
// count, nor does what follows a #. The host may be a name.
//
// A file that is missing, empty, unreadable, larger than 1 MiB, or has a line that is no host:port changes nothing. To
// say that there are no peers, leave nothing but a comment in it.
//
// Replace the file by renaming another to its name, as Kubernetes does with the files of a ConfigMap. One that is
// written in place is read again a quarter of a second later, and counts if it is the same then.
type FileDiscoverer struct {
	// Path is the file. It is opened anew each time, so symbolic links may change.
	Path string

	// Interval is the time between two looks, give or take a fifth. The default, also for zero and below, is 5 s.
	Interval time.Duration

	// Self is this pod, which is left out: its host:port, or its IP or name alone, whatever the port. The default is
	// that nothing is left out.
	Self string

	// OnError hears of files that cannot be used. See [Discoverer].
	OnError func(error)
}

var _ Discoverer = (*FileDiscoverer)(nil)

// Run looks for peers until ctx ends, see [Discoverer]. It returns the error of ctx, or at once that there is no Path or
// what is wrong with Self.
func (f *FileDiscoverer) Run(ctx context.Context, sync func(peers []string)) error {
	run, err := newDiscovery("peers in file "+f.Path, f.Self, f.OnError, sync)
	if err != nil {
		return err
	}
	if f.Path == "" {
		return run.wrap(errors.New("there is no Path"))
	}
	var last []byte // what the file had in it when it counted last
	look := func(ctx context.Context) ([]string, error) {
		content, err := f.read()
		if err == nil && !bytes.Equal(content, last) {
			pause(ctx, fileSettle)
			err = f.confirm(content)
		}
		if err != nil {
			return nil, err
		}
		last = content
		return parsePeers(content)
	}
	return run.poll(ctx, intervalOr(f.Interval, defaultDiscoverInterval), look)
}

// confirm reads the file again, and fails if it is no longer the same.
func (f *FileDiscoverer) confirm(content []byte) error {
	again, err := f.read()
	if err == nil && !bytes.Equal(content, again) {
		err = errors.New("it changed while it was read")
	}
	return err
}

func (f *FileDiscoverer) read() ([]byte, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxPeersFile+1))
	if len(content) > maxPeersFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxPeersFile)
	}
	return content, err
}

// parsePeers reads the content of a file, all of it or nothing.
func parsePeers(content []byte) ([]string, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("it is empty; a comment alone says that there are no peers")
	}
	var peers []string
	line := 0
	for text := range bytes.Lines(content) {
		line++
		text, _, _ = bytes.Cut(text, []byte("#"))
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		p, err := parsePeer(string(text))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		peers = append(peers, p)
	}
	return peers, nil
}
