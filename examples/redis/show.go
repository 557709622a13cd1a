package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const noRedis = `This example needs a Redis and found none: REDIS_ADDR is not set, and there is no redis-server on the PATH.

  Debian, Ubuntu   apt-get install redis-server
  macOS            brew install redis
  Docker           docker run --rm -p 6379:6379 redis:7, and then REDIS_ADDR=localhost:6379 go run ./examples/redis

Nothing was shown.
`

// showLimit is how long all of it may take. It takes some seconds.
const showLimit = 100 * time.Second

// show is pods in processes of their own, and somebody who types at their terminals.
type show struct {
	out    io.Writer
	addr   string // of Redis
	topic  string
	server *server // nil: Redis is not ours to kill
	pods   []*process
	holds  string // what all pods say that they hold when they agree
	step   int
}

// runShow runs the script on the Redis that there is.
func runShow(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, showLimit)
	defer cancel()
	s := &show{
		out: out, addr: os.Getenv("REDIS_ADDR"),
		topic: fmt.Sprintf("show-%d", time.Now().UnixNano()), // what an earlier show left behind is not seen
	}
	if s.addr == "" {
		path, err := exec.LookPath("redis-server")
		if err != nil {
			_, err = io.WriteString(out, noRedis)
			return err
		}
		if s.server, err = startServer(ctx, path); err != nil {
			return err
		}
		defer s.server.close()
		s.addr = s.server.addr
	}
	defer func() { err = errors.Join(err, s.endPods()) }()
	for _, act := range []func(context.Context) error{s.fanOut, s.outage, s.late} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) fanOut(ctx context.Context) error {
	s.title("Three pods, each a process of its own, and a Redis at %s", s.addr)
	for _, name := range []string{"pod-a", "pod-b", "pod-c"} {
		if err := s.start(ctx, name, "holds nothing"); err != nil {
			return err
		}
	}
	a, b, c := s.pods[0], s.pods[1], s.pods[2]

	s.title("What one pod writes, all have")
	s.holds = "holds banner = hello, dark-mode = on, trial = yes"
	return script(
		a.does("set dark-mode on"),
		b.says("pod-a set dark-mode = on"),
		c.says("pod-a set dark-mode = on"),
		b.does("set banner hello"),
		a.says("pod-b set banner = hello"),
		c.says("pod-b set banner = hello"),
		c.does("set trial yes"),
		a.says("pod-c set trial = yes"),
		b.says("pod-c set trial = yes"),
		s.agree,
	)
}

func (s *show) outage(ctx context.Context) error {
	if s.server == nil {
		s.title("The Redis at REDIS_ADDR is not ours to kill: unset it to see what happens then")
		return nil
	}
	a, b, c := s.pods[0], s.pods[1], s.pods[2]

	s.title("Redis is killed with SIGKILL. Pods go on reading and writing, and say that they are cut off")
	s.server.kill()
	if err := script(
		a.does("set dark-mode off"), // nobody has noticed yet
		a.says("health: cut off"),
		b.says("health: cut off"),
		c.says("health: cut off"),
		b.does("del trial"),
		c.does("set limit 100"),
		a.does("list"), a.says("holds banner = hello, dark-mode = off, trial = yes"),
		b.does("list"), b.says("holds banner = hello, dark-mode = on"),
		c.does("list"), c.says("holds banner = hello, dark-mode = on, limit = 100, trial = yes"),
	); err != nil {
		return err
	}

	s.title("Redis is started again and holds nothing. Pods repair themselves, nobody calls anything")
	if err := s.server.start(ctx); err != nil {
		return err
	}
	back := time.Now()
	s.holds = "holds banner = hello, dark-mode = off, limit = 100"
	if err := script(
		a.says("pod-b deleted trial", "pod-c set limit = 100", "health: synced"),
		b.says("pod-a set dark-mode = off", "pod-c set limit = 100", "health: synced"),
		c.says("pod-a set dark-mode = off", "pod-b deleted trial", "health: synced"),
	); err != nil {
		return err
	}
	took := time.Since(back)
	if err := s.agree(); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n  All three are equal again, %.1f s after Redis was back.\n", took.Seconds())
	return nil
}

func (s *show) late(ctx context.Context) error {
	s.title("All pods end. What they held is in Redis")
	if err := s.endPods(); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "  None is left.")

	s.title("A pod that starts when nobody else is there finds it")
	if err := s.start(ctx, "pod-d", s.holds); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "\nThat was all.")
	return nil
}

// script does one step after the other, and nothing after one that fails.
func script(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) title(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.out, "\n%d. %s\n\n", s.step, fmt.Sprintf(format, args...))
}

// start starts a pod that shall begin with what it says.
func (s *show) start(ctx context.Context, name, holds string) error {
	p, err := startProcess(ctx, s.out, options{addr: s.addr, node: name, topic: s.topic})
	if err != nil {
		return err
	}
	s.pods = append(s.pods, p)
	return p.says("started: " + holds)()
}

// agree asks all pods what they hold.
func (s *show) agree() error {
	for _, p := range s.pods {
		if err := script(p.does("list"), p.says(s.holds)); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) endPods() error {
	var errs []error
	for _, p := range s.pods {
		errs = append(errs, p.end())
	}
	s.pods = nil
	return errors.Join(errs...)
}
