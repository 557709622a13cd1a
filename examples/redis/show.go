package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/podshare/podshare/examples/internal/stage"
)

const noRedis = `This example needs a Redis and found none: REDIS_ADDR is not set, and there is no redis-server on the PATH.

  Debian, Ubuntu   apt-get install redis-server
  macOS            brew install redis
  Docker           docker run --rm -p 6379:6379 redis:7, and then REDIS_ADDR=localhost:6379 go run ./examples/redis

Nothing was shown.
`

// showLimit is how long all of it may take. It takes some seconds.
const showLimit = 100 * time.Second

// show is the script and what it needs.
type show struct {
	stage.Show
	addr   string // of Redis
	topic  string
	server *server // nil: Redis is not ours to kill
	holds  string  // what all pods say that they hold when they agree
}

// runShow runs the script on the Redis that there is.
func runShow(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, showLimit)
	defer cancel()
	s := &show{
		Show:  stage.Show{Out: out},
		addr:  os.Getenv("REDIS_ADDR"),
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
	defer func() { err = errors.Join(err, s.End()) }()
	for _, act := range []func(context.Context) error{s.fanOut, s.outage, s.late} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) fanOut(ctx context.Context) error {
	s.Title("Three pods, each a process of its own, and a Redis at %s", s.addr)
	for _, name := range []string{"pod-a", "pod-b", "pod-c"} {
		if err := s.start(ctx, name, "holds nothing"); err != nil {
			return err
		}
	}
	a, b, c := s.Pods[0], s.Pods[1], s.Pods[2]

	s.Title("What one pod writes, all have")
	s.holds = "holds banner = hello, dark-mode = on, trial = yes"
	return stage.Script(
		a.Does("set dark-mode on"),
		b.Says("pod-a set dark-mode = on"),
		c.Says("pod-a set dark-mode = on"),
		b.Does("set banner hello"),
		a.Says("pod-b set banner = hello"),
		c.Says("pod-b set banner = hello"),
		c.Does("set trial yes"),
		a.Says("pod-c set trial = yes"),
		b.Says("pod-c set trial = yes"),
		s.Agree(s.holds),
	)
}

func (s *show) outage(ctx context.Context) error {
	if s.server == nil {
		s.Title("The Redis at REDIS_ADDR is not ours to kill: unset it to see what happens then")
		return nil
	}
	a, b, c := s.Pods[0], s.Pods[1], s.Pods[2]

	s.Title("Redis is killed with SIGKILL. Pods go on reading and writing, and say that they are cut off")
	s.server.kill()
	if err := stage.Script(
		a.Does("set dark-mode off"), // nobody has noticed yet
		a.Says("health: cut off"),
		b.Says("health: cut off"),
		c.Says("health: cut off"),
		b.Does("del trial"),
		c.Does("set limit 100"),
		a.Does("list"), a.Says("holds banner = hello, dark-mode = off, trial = yes"),
		b.Does("list"), b.Says("holds banner = hello, dark-mode = on"),
		c.Does("list"), c.Says("holds banner = hello, dark-mode = on, limit = 100, trial = yes"),
	); err != nil {
		return err
	}

	s.Title("Redis is started again and holds nothing. Pods repair themselves, nobody calls anything")
	if err := s.server.start(ctx); err != nil {
		return err
	}
	back := time.Now()
	s.holds = "holds banner = hello, dark-mode = off, limit = 100"
	if err := stage.Script(
		a.Says("pod-b deleted trial", "pod-c set limit = 100", "health: synced"),
		b.Says("pod-a set dark-mode = off", "pod-c set limit = 100", "health: synced"),
		c.Says("pod-a set dark-mode = off", "pod-b deleted trial", "health: synced"),
	); err != nil {
		return err
	}
	took := time.Since(back)
	if err := s.Agree(s.holds)(); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\n  All three are equal again, %.1f s after Redis was back.\n", took.Seconds())
	return nil
}

func (s *show) late(ctx context.Context) error {
	s.Title("All pods end. What they held is in Redis")
	if err := s.End(); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "  None is left.")

	s.Title("A pod that starts when nobody else is there finds it")
	if err := s.start(ctx, "pod-d", s.holds); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "\nThat was all.")
	return nil
}

// start starts a pod that shall begin with what it says.
func (s *show) start(ctx context.Context, name, holds string) error {
	p, err := s.Start(ctx, name, "-addr", s.addr, "-node", name, "-topic", s.topic)
	if err != nil {
		return err
	}
	return p.Says("started: " + holds)()
}
