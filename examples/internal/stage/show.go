// Package stage is what examples share that show pods in processes of their own: a script starts them, types at their
// terminals, and waits for what they say.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Show is pods in processes of their own, and somebody who types at their terminals.
type Show struct {
	Out  io.Writer
	Pods []*Process // that live, in the order of their start
	step int
}

// Title begins the next act.
func (s *Show) Title(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.Out, "\n%d. %s\n\n", s.step, fmt.Sprintf(format, args...))
}

// Start starts this program as a pod. It is killed at the end of ctx, or by End.
func (s *Show) Start(ctx context.Context, name string, args ...string) (*Process, error) {
	p, err := startProcess(ctx, s.Out, name, args)
	if err == nil {
		s.Pods = append(s.Pods, p)
	}
	return p, err
}

// Kill ends a pod with SIGKILL.
func (s *Show) Kill(p *Process) {
	s.Pods = slices.DeleteFunc(s.Pods, func(o *Process) bool { return o == p })
	p.kill()
}

// Agree is a step of a script: all pods that live are asked what they hold until it is that.
func (s *Show) Agree(holds string) func() error {
	return func() error {
		for _, p := range s.Pods {
			if err := p.Holds(holds)(); err != nil {
				return err
			}
		}
		return nil
	}
}

// End ends all pods as the end of their terminals does, the youngest first. Further calls do nothing.
func (s *Show) End() error {
	var errs []error
	for _, p := range slices.Backward(s.Pods) {
		errs = append(errs, p.end())
	}
	s.Pods = nil
	return errors.Join(errs...)
}

// Script does one step after the other, and nothing after one that fails.
func Script(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
