//go:build unix

// Package redistest runs real redis-servers for tests: each on a port of its own on loopback, killed, frozen and
// started again at will, and gone with its test.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a server may take to start, on a loaded machine.
const patience = 20 * time.Second

// Server is a redis-server that belongs to a test. Its methods are for the test's goroutine and fail the test.
type Server struct {
	// Addr is where it listens, before and after a restart.
	Addr string

	t    testing.TB
	path string // of the program
	dir  string // of its data
	args []string
	proc *process // nil while it is down
	out  *bytes.Buffer
}

// process is a started redis-server.
type process struct {
	*os.Process
	ended chan struct{} // closed when it has been waited for
}

func (p *process) end() {
	_ = p.Kill() // it may have ended by itself
	<-p.ended
}

// Start starts a redis-server with further arguments, such as "--requirepass", "secret". It keeps nothing on disk
// unless they say so. A machine without redis-server skips the test, but not where CI=true.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return startWith(t, append([]string{"--save", "", "--appendonly", "no"}, args...))
}

func startWith(t testing.TB, args []string) *Server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("redistest: redis-server is not installed, and CI must not go without")
	default:
		t.Skip("redistest: SKIPPED, redis-server is not installed: nothing is tested against the real one")
	}
	s := &Server{t: t, path: path, dir: t.TempDir(), args: args}
	t.Cleanup(s.end)
	for range 5 { // the port may be taken by somebody else before the server has it
		s.Addr = freeAddr(t)
		if s.start() {
			return s
		}
	}
	t.Fatalf("redistest: redis-server does not start:\n%s", s.out)
	return nil
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("redistest: Kill: the server is down")
	}
	s.end()
}

// Restart starts a killed server at the same address, with what it kept on disk.
func (s *Server) Restart() {
	s.t.Helper()
	if s.proc != nil {
		s.t.Fatal("redistest: Restart: the server is up")
	}
	if !s.start() {
		s.t.Fatalf("redistest: redis-server does not start again:\n%s", s.out)
	}
}

// RestartEmpty starts a killed server at the same address, without data.
func (s *Server) RestartEmpty() {
	s.t.Helper()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	for _, f := range files {
		if err := os.RemoveAll(filepath.Join(s.dir, f.Name())); err != nil {
			s.t.Fatalf("redistest: %v", err)
		}
	}
	s.Restart()
}

// Freeze stops the process: its connections stay open and silent.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// ConfigSet changes a setting of the running server. It needs a server without password.
func (s *Server) ConfigSet(setting, value string) {
	s.t.Helper()
	if err := s.Client().ConfigSet(s.t.Context(), setting, value).Err(); err != nil {
		s.t.Fatalf("redistest: CONFIG SET %s %s: %v", setting, value, err)
	}
}

// Client returns a client of its own that is closed with the test; configure may change its options.
func (s *Server) Client(configure ...func(*redis.Options)) *redis.Client {
	options := &redis.Options{Addr: s.Addr, Protocol: 2}
	for _, fn := range configure {
		fn(options)
	}
	client := redis.NewClient(options)
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatalf("redistest: %v: the server is down", sig)
	}
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// start starts the process and waits until it answers, which is false if it ended instead.
func (s *Server) start() bool {
	host, port, _ := net.SplitHostPort(s.Addr)
	args := append(slices.Clone(s.args), "--bind", host, "--port", port, "--dir", s.dir, "--daemonize", "no", "--loglevel", "warning")
	s.out = &bytes.Buffer{}
	//nolint:gosec // the program is the redis-server of the PATH, the arguments are the test's
	cmd := exec.CommandContext(context.Background(), s.path, args...)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	p := &process{Process: cmd.Process, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // it ends by a signal
	}()
	deadline := time.After(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !answers(s.Addr) {
		select {
		case <-poll.C:
		case <-p.ended:
			return false
		case <-deadline:
			p.end()
			s.t.Fatalf("redistest: redis-server does not answer within %v:\n%s", patience, s.out)
		}
	}
	select {
	case <-p.ended:
		return false // another process answered
	default:
	}
	s.proc = p
	return true
}

// end kills the process and waits for its end.
func (s *Server) end() {
	if s.proc != nil {
		s.proc.end()
		s.proc = nil
	}
}

// answers tells whether the server takes commands, or at least refuses them for lack of a password.
func answers(addr string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && (strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH"))
}

// freeAddr returns an address of loopback that nobody listened at a moment ago, with a port that leaves room for that
// of a Cluster's bus, 10000 above.
func freeAddr(t testing.TB) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		l.Close()
		if addr := l.Addr().(*net.TCPAddr); addr.Port <= 1<<16-1-10000 {
			return addr.String()
		}
	}
}
