package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

//go:embed flags.json
var sample []byte

// demoPatience is how long the demonstration waits for a single step before it gives up.
const demoPatience = 30 * time.Second

// script is the demonstration: a server of a copy of the sample file, and somebody who edits that copy.
type script struct {
	net     *transporttest.Network
	fleet   *fleet
	printer *printer
	path    string // of the copy
	content string // of the last valid edit
	results chan result

	step     int
	refused  int
	took     []time.Duration // each edit, each pod
	repaired time.Duration
	joined   time.Duration
}

// demo runs the script. Its pods are connected by a network that can be cut on demand.
func demo(ctx context.Context, o options, p *printer) (err error) {
	dir, err := os.MkdirTemp("", "feature-flags-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	net := transporttest.NewNetwork(1)
	defer net.Close()
	s := &script{
		net:     net,
		printer: p,
		path:    filepath.Join(dir, "flags.json"),
		content: string(sample),
		results: make(chan result),
	}
	s.fleet = newFleet(func(pod string) podshare.Transport { return net.Pod(pod) }, p)
	defer s.fleet.close()
	if err := os.WriteFile(s.path, sample, 0o600); err != nil {
		return err
	}

	s.title("Serve a file of flags to %d pods", o.pods)
	o.path = s.path
	server, err := startServer(ctx, o, s.fleet, p)
	if err != nil {
		return ifRunning(ctx, err)
	}
	server.results = s.results
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.run(run)
	}()
	defer func() { <-ended }()
	defer stop()
	return ifRunning(ctx, s.play(run))
}

// play edits the file and breaks the network, step by step.
func (s *script) play(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.changeOne, s.changeSeveral, s.removeOne, s.breakFile, s.deleteFile, s.cutOff, s.joinLate,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.summary()
	return nil
}

func (s *script) changeOne(ctx context.Context) error {
	s.title("Change a flag")
	return s.edit(ctx, `"dark-mode": false`, `"dark-mode": true`)
}

func (s *script) changeSeveral(ctx context.Context) error {
	s.title("Change two flags and add one in a single edit: no pod ever sees a part of it")
	return s.edit(ctx,
		`"percent": 10`, `"percent": 50`,
		`"search-backend": "v1",`, `"search-backend": "v2", "search-index": "2026-11",`)
}

func (s *script) removeOne(ctx context.Context) error {
	s.title("Remove a flag")
	return s.edit(ctx, `  "max-upload-mb": 25,`+"\n", ``)
}

func (s *script) breakFile(ctx context.Context) error {
	s.title("Save a broken file: it is refused, and nothing changes")
	return s.spoil(ctx, func() error { return s.write(s.content[:len(s.content)/2]) })
}

func (s *script) deleteFile(ctx context.Context) error {
	s.title("Delete the file: the pods keep what they have")
	return s.spoil(ctx, func() error { return os.Remove(s.path) })
}

func (s *script) cutOff(ctx context.Context) error {
	last := s.fleet.all()[len(s.fleet.all())-1]
	s.title("Cut %s off from its peers and the stored snapshot, and change a flag", last.name)
	s.net.Cut(last.name)
	s.net.SetPodFaults(last.name, transporttest.PodFaults{StoreError: 1}) // no way around by the stored snapshot
	if err := s.edit(ctx, `"maintenance": false`, `"maintenance": true`); err != nil {
		return err
	}
	s.title("Connect it to its peers again: %s notices by itself what it has missed", last.name)
	defer s.net.Calm()
	healed := time.Now()
	s.net.Heal()
	return s.catchUp(ctx, last, healed, &s.repaired)
}

func (s *script) joinLate(ctx context.Context) error {
	s.title("A pod joins late: it begins with the stored snapshot, its peers send what is newer")
	began := time.Now()
	p, err := s.fleet.join(ctx)
	if err != nil {
		return err
	}
	return s.catchUp(ctx, p, began, &s.joined)
}

// edit replaces texts in the file, given as pairs of old and new, and waits until the edit was served.
func (s *script) edit(ctx context.Context, pairs ...string) error {
	s.content = strings.NewReplacer(pairs...).Replace(s.content)
	if err := s.write(s.content); err != nil {
		return err
	}
	r, err := s.await(ctx)
	if err != nil {
		return err
	}
	s.took = append(s.took, r.took...)
	return r.err
}

// spoil does something to the file that must be refused.
func (s *script) spoil(ctx context.Context, do func() error) error {
	before := s.fleet.all()[0].flags()
	if err := do(); err != nil {
		return err
	}
	r, err := s.await(ctx)
	switch {
	case err != nil:
		return err
	case r.err == nil:
		return fmt.Errorf("step %d: a broken file was served", s.step)
	}
	s.refused++
	for _, p := range s.fleet.all() {
		if !diff(before, p.flags()).empty() {
			return fmt.Errorf("step %d: %s has changed", s.step, p.name)
		}
	}
	s.printer.printf("  every pod still sees revision %d\n", s.fleet.revision())
	return nil
}

// write replaces the file as editors do: a new file, renamed over the old one.
func (s *script) write(content string) error {
	fresh := s.path + "~"
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, s.path)
}

// await waits for the server to have dealt with an edit.
func (s *script) await(ctx context.Context) (result, error) {
	select {
	case r := <-s.results:
		return r, nil
	case <-time.After(demoPatience):
		return result{}, fmt.Errorf("step %d: the edit was not noticed", s.step)
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
}

// catchUp waits until a pod sees what the others see, and notes how long that took.
func (s *script) catchUp(ctx context.Context, p *pod, began time.Time, took *time.Duration) error {
	revision := s.fleet.revision()
	seen := s.fleet.await(ctx, revision, demoPatience)
	if err := ctx.Err(); err != nil {
		return err
	}
	if seen[p].revision < revision {
		return fmt.Errorf("step %d: %s did not catch up", s.step, p.name)
	}
	*took = seen[p].at.Sub(began)
	s.printer.printf("  %s sees revision %d after %v\n", p.name, revision, took.Round(10*time.Microsecond))
	s.printer.table(s.fleet.all(), seen, change{}, revision, began)
	return nil
}

func (s *script) title(format string, args ...any) {
	s.step++
	s.printer.printf("\n%d. %s\n", s.step, fmt.Sprintf(format, args...))
}

func (s *script) summary() {
	slices.Sort(s.took)
	s.printer.printf("\nSummary\n")
	s.printer.rows([][]string{
		{"edits applied", fmt.Sprint(s.fleet.revision() - 1)},
		{"edits refused", fmt.Sprint(s.refused)},
		{"edit to pod, median", duration(s.took[len(s.took)/2])},
		{"edit to pod, slowest", duration(s.took[len(s.took)-1])},
		{"pod that was cut off", fmt.Sprintf("whole again %v after healing, by itself", s.repaired.Round(10*time.Microsecond))},
		{"pod that joined late", fmt.Sprintf("had everything after %v", s.joined.Round(10*time.Microsecond))},
		{"pods agree", s.agreement()},
	})
}

func (s *script) agreement() string {
	pods := s.fleet.all()
	for _, p := range pods[1:] {
		if !diff(pods[0].flags(), p.flags()).empty() {
			return fmt.Sprintf("no: %s and %s differ", pods[0].name, p.name)
		}
	}
	return fmt.Sprintf("yes, all %d", len(pods))
}
