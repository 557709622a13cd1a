package stage

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Patience is how long a show waits for anything before it fails.
const Patience = 30 * time.Second

// Process is a pod in a process of its own: this program, started with other arguments. What it says is printed when
// the script waits for it, so that pods speak one after the other.
type Process struct {
	name  string
	out   io.Writer // of the show
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  <-chan string // its lines, closed with its stdout
}

// startProcess starts a pod, which is killed when ctx ends.
func startProcess(ctx context.Context, out io.Writer, name string, args []string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the program is this one
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
	said := make(chan string, 1000) // more than a show has
	go func() {
		defer close(said)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			said <- in.Text()
		}
	}()
	return &Process{name: name, out: out, cmd: cmd, stdin: stdin, said: said}, nil
}

// Does is a step of a script: the pod obeys a line.
func (p *Process) Does(line string) func() error {
	return func() error {
		fmt.Fprintf(p.out, "  %s > %s\n", p.name, line)
		_, err := fmt.Fprintln(p.stdin, line)
		return err
	}
}

// Says is a step of a script: it prints what the pod says until it has said all of these lines, in any order. One that
// ends in … says how the line begins.
func (p *Process) Says(want ...string) func() error {
	return func() error {
		missing := slices.Clone(want)
		deadline := time.After(Patience)
		for len(missing) > 0 {
			line, err := p.next(deadline)
			if err != nil {
				return fmt.Errorf("%s never said %q: %w", p.name, missing, err)
			}
			if i := slices.IndexFunc(missing, func(want string) bool { return matches(line, want) }); i >= 0 {
				missing = slices.Delete(missing, i, i+1)
			}
		}
		return nil
	}
}

func matches(line, want string) bool {
	begin, open := strings.CutSuffix(want, "…")
	return line == want || open && strings.HasPrefix(line, begin)
}

// Holds is a step of a script: the pod is asked what it holds until it is that.
func (p *Process) Holds(want string) func() error {
	return func() error {
		const pause = 50 * time.Millisecond
		for began := time.Now(); ; {
			if err := p.Does("list")(); err != nil {
				return err
			}
			held, err := p.Tells("holds ")
			switch {
			case err != nil:
				return err
			case "holds "+held == want:
				return nil
			case time.Since(began) > Patience:
				return fmt.Errorf("%s never %s", p.name, want)
			}
			<-time.After(pause)
		}
	}
}

// Tells prints what the pod says up to a line that begins with prefix, and returns the rest of that.
func (p *Process) Tells(prefix string) (string, error) {
	for deadline := time.After(Patience); ; {
		line, err := p.next(deadline)
		if err != nil {
			return "", fmt.Errorf("%s never said %q: %w", p.name, prefix+"…", err)
		}
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return rest, nil
		}
	}
}

func (p *Process) next(deadline <-chan time.Time) (string, error) {
	select {
	case line, ok := <-p.said:
		if !ok {
			return "", io.ErrUnexpectedEOF
		}
		p.print(line)
		return line, nil
	case <-deadline:
		return "", os.ErrDeadlineExceeded
	}
}

func (p *Process) print(line string) { fmt.Fprintf(p.out, "  %s | %s\n", p.name, line) }

// end ends the pod as the end of its terminal does, and waits for it.
func (p *Process) end() error {
	p.stdin.Close()
	return p.wait()
}

// kill ends the pod with SIGKILL: it says nothing to anybody.
func (p *Process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.wait()             // by a signal, as it should
}

func (p *Process) wait() error {
	for line := range p.said {
		p.print(line)
	}
	return p.cmd.Wait()
}
