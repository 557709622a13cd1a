package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// patience is how long the show waits for anything before it fails.
const patience = 30 * time.Second

// process is a pod in a process of its own: this program, started with -addr and -node. What it says is printed when
// the script waits for it, so that pods speak one after the other.
type process struct {
	name  string
	out   io.Writer // of the show
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  <-chan string // its lines, closed with its stdout
}

// startProcess starts a pod, which is killed when ctx ends.
func startProcess(ctx context.Context, out io.Writer, o options) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	//nolint:gosec // the program is this one
	cmd := exec.CommandContext(ctx, program, "-addr", o.addr, "-node", o.node, "-topic", o.topic)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := make(chan string, 1000) // more than the show has
	go func() {
		defer close(said)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			said <- in.Text()
		}
	}()
	return &process{name: o.node, out: out, cmd: cmd, stdin: stdin, said: said}, nil
}

// does is a step of the script: the pod obeys a line.
func (p *process) does(line string) func() error {
	return func() error {
		fmt.Fprintf(p.out, "  %s > %s\n", p.name, line)
		_, err := fmt.Fprintln(p.stdin, line)
		return err
	}
}

// says is a step of the script: it prints what the pod says until it has said all of these lines, in any order.
func (p *process) says(want ...string) func() error {
	return func() error {
		missing := slices.Clone(want)
		deadline := time.After(patience)
		for len(missing) > 0 {
			select {
			case line, ok := <-p.said:
				if !ok {
					return fmt.Errorf("%s ended and never said %q", p.name, missing)
				}
				p.print(line)
				if i := slices.Index(missing, line); i >= 0 {
					missing = slices.Delete(missing, i, i+1)
				}
			case <-deadline:
				return fmt.Errorf("%s did not say %q within %v", p.name, missing, patience)
			}
		}
		return nil
	}
}

func (p *process) print(line string) { fmt.Fprintf(p.out, "  %s | %s\n", p.name, line) }

// end ends the pod as the end of its terminal does, and waits for it. Further calls do nothing.
func (p *process) end() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	p.stdin.Close()
	for line := range p.said {
		p.print(line)
	}
	return p.cmd.Wait()
}
