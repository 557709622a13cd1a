package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	demoLimit    = 100 * time.Second // for all of it; it takes some seconds
	demoPatience = 30 * time.Second  // for each thing that it waits for
)

const noLoopback = `This needs several addresses of loopback, 127.x.x.x, and there is only 127.0.0.1: that is so on macOS.

  Docker   docker run --rm -v "$PWD":/src -w /src golang go run ./examples/k8s

Nothing was shown.
`

// script is replicas on addresses of loopback, and whoever rolls them out.
type script struct {
	out      io.Writer
	dns      *dns
	block    string // the first three bytes of all addresses
	meshPort int
	httpPort int
	secret   []byte
	tls      string          // folder of certificates; "": they know the secret
	pods     map[string]*pod // that live, by name
	step     int
}

// pod is a replica that runs.
type pod struct {
	url   string
	ip    string
	term  context.CancelFunc // SIGTERM
	ended chan struct{}      // closed when it has
	err   error              // how; to be read after ended
}

// demo runs the script.
func demo(ctx context.Context, out io.Writer) error {
	limited, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	s := &script{out: out, dns: &dns{}, secret: []byte(rand.Text()), pods: map[string]*pod{}}
	err := s.findPorts(limited)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		_, err = io.WriteString(out, noLoopback)
		return err
	}
	if err == nil {
		err = s.play(limited)
	}
	err = errors.Join(err, s.end(ctx))
	if ctx.Err() != nil {
		return nil // Ctrl-C in the middle of it is no failure
	}
	return err
}

// findPorts finds addresses that nobody uses: a block of loopback at random, and two ports there.
func (s *script) findPorts(ctx context.Context) error {
	s.block = fmt.Sprintf("127.%d.%d.", 1+mathrand.N(254), mathrand.N(256)) //nolint:gosec // no secret
	for _, port := range []*int{&s.meshPort, &s.httpPort} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.block+"1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}

func (s *script) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{s.rollOut, s.flip, s.replace, s.end} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.out, "\nThat was all. README.md says how to have it in a cluster.")
	return nil
}

func (s *script) rollOut(ctx context.Context) error {
	s.title("Three replicas start. Each asks DNS for %q and is ready when it knows what the others have", "flags-mesh")
	names := []string{"flags-1", "flags-2", "flags-3"}
	for _, name := range names {
		s.dns.publish(s.ip(name)) // ready or not: publishNotReadyAddresses
	}
	for _, name := range names {
		s.start(ctx, name)
	}
	for _, name := range names {
		if err := s.awaitReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) flip(ctx context.Context) error {
	s.title("Somebody turns a flag on, at one of them")
	if _, err := s.ask(ctx, "flags-1", http.MethodPut, "/flags/dark-mode", "true"); err != nil {
		return err
	}
	return s.agree(ctx, `{"dark-mode":true,"new-checkout":false}`)
}

func (s *script) replace(ctx context.Context) error {
	s.title("One is replaced. The new one gets no requests before it is ready; here DNS takes its time")
	answer := s.dns.hold()
	s.dns.publish(s.ip("flags-4"))
	s.start(ctx, "flags-4")
	if err := s.await(ctx, "flags-4", "/readyz", "503 not ready: the other replicas are not known yet"); err != nil {
		return err
	}
	if _, err := s.ask(ctx, "flags-2", http.MethodPut, "/flags/new-checkout", "true"); err != nil {
		return err
	}
	answer()
	if err := s.awaitReady(ctx, "flags-4"); err != nil {
		return err
	}

	s.title("Then the old one gets its SIGTERM")
	if err := s.stop("flags-1"); err != nil {
		return err
	}
	if _, err := s.ask(ctx, "flags-4", http.MethodDelete, "/flags/dark-mode", ""); err != nil {
		return err
	}
	return s.agree(ctx, `{"new-checkout":true}`)
}

func (s *script) end(context.Context) error {
	if len(s.pods) == 0 {
		return nil
	}
	s.title("All end, and with the last one what they had: keep one alive, or see README.md")
	var err error
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		err = errors.Join(err, s.stop(name))
	}
	return err
}

func (s *script) title(format string, args ...any) {
	s.step++
	fmt.Fprintf(s.out, "\n%d. %s\n\n", s.step, fmt.Sprintf(format, args...))
}

// ip is the address of a pod: flags-4 has the one that ends in 4.
func (s *script) ip(name string) string { return s.block + strings.TrimPrefix(name, "flags-") }

// start starts a replica as the image does, but with addresses of loopback and the script's DNS.
func (s *script) start(ctx context.Context, name string) {
	p := &pod{ip: s.ip(name), ended: make(chan struct{})}
	addr := net.JoinHostPort(p.ip, strconv.Itoa(s.httpPort))
	p.url = "http://" + addr
	c := config{
		serve: true, http: addr, mesh: p.ip, meshPort: s.meshPort, service: "flags-mesh", discover: "dns",
		tls: s.tls, pod: name, ip: p.ip, secrets: [][]byte{s.secret}, lookupHost: s.dns.lookupHost,
	}
	ctx, p.term = context.WithCancel(ctx)
	go func() {
		defer close(p.ended)
		p.err = serve(ctx, c, slog.New(slog.DiscardHandler))
	}()
	s.pods[name] = p
}

// stop ends a replica as Kubernetes does.
func (s *script) stop(name string) error {
	p := s.pods[name]
	delete(s.pods, name)
	p.term()
	<-p.ended
	s.dns.withdraw(p.ip)
	if p.err != nil {
		return fmt.Errorf("%s: %w", name, p.err)
	}
	fmt.Fprintf(s.out, "  %s  has ended\n", name)
	return nil
}

// ask sends a request to a replica, prints what it answers, and returns that.
func (s *script) ask(ctx context.Context, name, method, path, body string) (string, error) {
	said, err := s.request(ctx, name, method, path, body)
	if err == nil {
		s.print(name, method, path, body, said)
	}
	return said, err
}

func (s *script) print(name, method, path, body, said string) {
	fmt.Fprintf(s.out, "  %s  %-32s %s\n", name, strings.TrimSpace(method+" "+path+" "+body), said)
}

// request returns the code and the body of the answer.
func (s *script) request(ctx context.Context, name, method, path, body string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, method, s.pods[name].url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(q)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	said, err := io.ReadAll(a.Body)
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.StatusCode, said)), err
}

// await asks a replica until its answer begins with want.
func (s *script) await(ctx context.Context, name, path, want string) error {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	p := s.pods[name]
	for began := time.Now(); ; {
		said, err := s.request(ctx, name, http.MethodGet, path, "")
		switch {
		case err == nil && strings.HasPrefix(said, want):
			s.print(name, http.MethodGet, path, "", said)
			return nil
		case time.Since(began) > demoPatience:
			return fmt.Errorf("%s still answers %s with %q (%v)", name, path, said, err) //nolint:errorlint // there may be none
		}
		select {
		case <-poll.C:
		case <-p.ended:
			return fmt.Errorf("%s has ended", name) // stop says why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *script) awaitReady(ctx context.Context, name string) error {
	return s.await(ctx, name, "/readyz", fmt.Sprintf("200 ready: synced, others: %d", len(s.pods)-1))
}

// agree waits until all replicas have these flags.
func (s *script) agree(ctx context.Context, flags string) error {
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		if err := s.await(ctx, name, "/flags", "200 "+flags); err != nil {
			return err
		}
	}
	return nil
}
