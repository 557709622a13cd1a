package main

import (
	"context"
	"time"
)

// patience is how long an edit waits for the pods before it is shown as not yet seen by some.
const patience = time.Second

// server brings the edits of a file to a fleet. Edits are written to the first pod.
type server struct {
	file    *flagFile
	fleet   *fleet
	printer *printer
	poll    time.Duration
	results chan<- result // hears of every edit, applied or refused; nil: nobody listens
}

// result is what became of an edit.
type result struct {
	revision int
	took     []time.Duration // how long until each pod saw it; those that did not see it yet are left out
	err      error           // why it was refused
}

// startServer starts the pods and serves the file as it is.
func startServer(ctx context.Context, o options, f *fleet, p *printer) (*server, error) {
	s := &server{file: &flagFile{path: o.path}, fleet: f, printer: p, poll: o.poll}
	flags, err := s.file.load()
	if err != nil {
		return nil, err
	}
	for range o.pods {
		if _, err := f.join(ctx); err != nil {
			return nil, err
		}
	}
	p.printf("%s: %d flags, served to %d pods.\n", o.path, len(flags), o.pods)
	return s, s.apply(ctx, flags).err
}

// run looks at the file again and again until ctx ends.
func (s *server) run(ctx context.Context) {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look looks at the file once and applies what is new.
func (s *server) look(ctx context.Context) {
	flags, err := s.file.look()
	switch {
	case err != nil:
		s.printer.printf("\nNot applied, the pods keep what they have: %v\n", err)
		s.tell(ctx, result{revision: s.fleet.revision(), err: err})
	case flags != nil:
		s.tell(ctx, s.apply(ctx, flags))
	}
}

func (s *server) tell(ctx context.Context, r result) {
	if s.results == nil {
		return
	}
	select {
	case s.results <- r:
	case <-ctx.Done():
	}
}

// apply makes the pods hold these flags, and shows what they then see.
func (s *server) apply(ctx context.Context, flags flagSet) result {
	first := s.fleet.all()[0]
	c := diff(first.flags(), flags)
	if c.empty() {
		s.printer.printf("\nRead again: no flag has changed.\n")
		return result{revision: first.revision()}
	}
	revision := first.revision() + 1
	before := first.flags()
	began := time.Now()
	if err := first.apply(ctx, c, revision); err != nil {
		if ctx.Err() == nil {
			s.printer.printf("\nNot applied, the pods keep what they have: %v\n", err)
		}
		return result{revision: first.revision(), err: err}
	}
	seen := s.fleet.await(ctx, revision, patience)
	r := result{revision: revision}
	for _, p := range s.fleet.all() {
		if seen[p].revision >= revision {
			r.took = append(r.took, seen[p].at.Sub(began))
		}
	}
	s.printer.change(revision, before, c)
	s.printer.table(s.fleet.all(), seen, c, revision, began)
	return r
}
