package main

import (
	"context"
	"net"
	"slices"
	"sync"
)

// dns stands in for the DNS of a cluster, in which one headless Service is all there is.
type dns struct {
	mu    sync.Mutex // guards what follows
	hosts []string
	held  chan struct{} // answers wait until it is closed; nil: they do not
}

func (d *dns) publish(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts = append(d.hosts, host)
}

func (d *dns) withdraw(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts = slices.DeleteFunc(d.hosts, func(h string) bool { return h == host })
}

// hold makes answers wait until release is called.
func (d *dns) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(chan struct{})
	d.held = held
	return func() {
		close(held)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = nil
	}
}

// lookupHost is that of a net.Resolver.
func (d *dns) lookupHost(ctx context.Context, host string) ([]string, error) {
	d.mu.Lock()
	hosts, held := slices.Clone(d.hosts), d.held
	d.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if len(hosts) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return hosts, nil
}
