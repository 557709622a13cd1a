package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/podshare/podshare/examples/internal/stage"
)

// showLimit is how long all of it may take. It takes some seconds.
const showLimit = 100 * time.Second

// show is the script and what it needs.
type show struct {
	stage.Show
	secret string
	addrs  []string // at which pod-a and pod-b listen
	holds  string   // what all pods say that they hold when they agree
}

// runShow runs the script on loopback.
func runShow(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, showLimit)
	defer cancel()
	s := &show{Show: stage.Show{Out: out}, secret: rand.Text()}
	defer func() { err = errors.Join(err, s.End()) }()
	for _, act := range []func(context.Context) error{s.mesh, s.fanOut, s.kill, s.comeBack, s.stranger, s.end} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) mesh(ctx context.Context) error {
	s.Title("Three pods, each a process of its own. There is no server: each connects to those that it is told of")
	for i, names := range []string{"", "pod-a", "pod-a, pod-b"} {
		if err := s.start(ctx, fmt.Sprintf("pod-%c", 'a'+i), names); err != nil {
			return err
		}
	}
	return stage.Script(
		s.Pods[0].Says("connected to pod-b, pod-c"),
		s.Pods[1].Says("connected to pod-a, pod-c"),
	)
}

// start starts a pod that is told of those that listen, and waits until it says that it is connected to these.
func (s *show) start(ctx context.Context, name, peers string) error {
	p, err := s.Start(ctx, name, "-node", name, "-listen", "127.0.0.1:0", "-peers", strings.Join(s.addrs, ","), "-secret", s.secret)
	if err != nil {
		return err
	}
	addr, err := p.Tells("listens at ")
	if err != nil {
		return err
	}
	if len(s.addrs) < 2 {
		s.addrs = append(s.addrs, addr)
	}
	says := []string{"started: …"}
	if peers != "" {
		says = append(says, "connected to "+peers)
	}
	return p.Says(says...)()
}

func (s *show) fanOut(context.Context) error {
	s.Title("What one pod writes, all have")
	a, b, c := s.Pods[0], s.Pods[1], s.Pods[2]
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

func (s *show) kill(context.Context) error {
	s.Title("pod-c is killed with SIGKILL. The others notice, and go on")
	s.Kill(s.Pods[2])
	a, b := s.Pods[0], s.Pods[1]
	s.holds = "holds banner = hello, dark-mode = off"
	return stage.Script(
		a.Says("connected to pod-b"),
		b.Says("connected to pod-a"),
		a.Does("set dark-mode off"),
		b.Says("pod-a set dark-mode = off"),
		b.Does("del trial"),
		a.Says("pod-b deleted trial"),
		s.Agree(s.holds),
	)
}

func (s *show) comeBack(ctx context.Context) error {
	s.Title("pod-c is started again, with nothing in memory. It catches up before it says that it has started")
	began := time.Now()
	if err := s.start(ctx, "pod-c", "pod-a, pod-b"); err != nil {
		return err
	}
	a, b, c := s.Pods[0], s.Pods[1], s.Pods[2]
	if err := c.Holds(s.holds)(); err != nil {
		return err
	}
	took := time.Since(began)
	s.holds = "holds banner = hello, dark-mode = off, limit = 100"
	if err := stage.Script(
		a.Says("connected to pod-b, pod-c"),
		b.Says("connected to pod-a, pod-c"),
		c.Does("set limit 100"),
		a.Says("pod-c set limit = 100"),
		b.Says("pod-c set limit = 100"),
		s.Agree(s.holds),
	); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\n  It held everything %d ms after its process was started.\n", took.Milliseconds())
	return nil
}

func (s *show) stranger(ctx context.Context) error {
	s.Title("A stranger does not know the secret")
	addr := s.addrs[0]
	x, err := s.Start(ctx, "pod-x", "-node", "pod-x", "-peers", addr, "-secret", "what somebody guessed")
	if err != nil {
		return err
	}
	refused := fmt.Sprintf(`p2p: cannot connect to %s: the peer says: "refused: no proof of a secret known here"`, addr)
	if err := x.Says(refused, "started: …")(); err != nil {
		return err
	}
	s.Kill(x)
	return stage.Script(
		s.Pods[0].Says("p2p: connection from 127.0.0.1 refused: transport: peer is not authenticated: it proves no secret known here"),
		s.Agree(s.holds),
	)
}

func (s *show) end(context.Context) error {
	s.Title("All pods end, and with the last one what they held")
	if err := s.End(); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "\nThat was all.")
	return nil
}
