package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/podshare/podshare/examples/internal/stage"
	"github.com/podshare/podshare/transport"
)

// server is a redis-server of our own, on a port of loopback. It keeps nothing on disk.
type server struct {
	addr string
	path string // of the program
	dir  string // it writes there if anywhere
	proc *serverProcess
}

type serverProcess struct {
	*os.Process
	ended chan struct{} // closed when it has been waited for
	said  bytes.Buffer  // to be read after ended
}

// startServer starts a server on a random port. It is killed at the end of ctx, or by close.
func startServer(ctx context.Context, path string) (*server, error) {
	dir, err := os.MkdirTemp("", "podshare-redis-")
	if err != nil {
		return nil, err
	}
	s := &server{path: path, dir: dir}
	for range 5 { // somebody else may be faster to take the port
		if s.addr, err = freeAddr(ctx); err != nil {
			break
		}
		if err = s.start(ctx); err == nil {
			return s, nil
		}
	}
	s.close()
	return nil, err
}

// start starts the process, with no data, and waits until it answers.
func (s *server) start(ctx context.Context) error {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	p := &serverProcess{ended: make(chan struct{})}
	//nolint:gosec // the program is the redis-server of the PATH
	cmd := exec.CommandContext(ctx, s.path, "--bind", host, "--port", port,
		"--dir", s.dir, "--save", "", "--appendonly", "no", "--loglevel", "warning")
	cmd.Stdout, cmd.Stderr = &p.said, &p.said
	if err := cmd.Start(); err != nil {
		return err
	}
	p.Process = cmd.Process
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // it ends by a signal
	}()
	s.proc = p

	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(stage.Patience)
	for {
		select {
		case <-poll.C:
		case <-p.ended:
			return errors.Join(ctx.Err(), fmt.Errorf("%s ended: %s", s.path, bytes.TrimSpace(p.said.Bytes())))
		case <-deadline:
			return fmt.Errorf("%s does not answer at %s within %v", s.path, s.addr, stage.Patience)
		}
		if t, err := transport.NewRedisTransport(transport.RedisOptions{Addr: s.addr}); err == nil {
			return t.Close()
		}
	}
}

// kill ends the process with SIGKILL: nothing is said, nothing is saved.
func (s *server) kill() {
	if s.proc != nil {
		_ = s.proc.Kill() // it may have ended by itself
		<-s.proc.ended
	}
}

func (s *server) close() {
	s.kill()
	_ = os.RemoveAll(s.dir) // it is in a folder for temporary files
}

// freeAddr returns an address of loopback that nobody listened at a moment ago.
func freeAddr(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
