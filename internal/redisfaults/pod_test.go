//go:build unix

package redisfaults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

const (
	topic = "topic"

	// writeEvery is how long a pod rests between two steps of writing.
	writeEvery = 3 * time.Millisecond

	// writeTimeout is how long half of the writes are waited for; the others as long as it takes.
	writeTimeout = 100 * time.Millisecond

	// sharedKeys is how many keys all pods write.
	sharedKeys = 8
)

// pod is a store with a transport of its own.
type pod struct {
	*podshare.Store[string]
	t         *testing.T
	transport *transport.RedisTransport
	options   transport.RedisOptions

	stop func() // ends the writing and waits for its end

	mu      sync.Mutex // guards all below
	said    []error    // by the store
	lost    []error    // by the transport
	kept    map[string]string
	newest  map[string]sharedWrite // by shared key: the last write of this pod that was the newest
	pending int                    // acknowledged with ErrBroadcast
}

// sharedWrite is a state of a shared key.
type sharedWrite struct {
	version podshare.Version
	value   string // "" if it was deleted
}

// startPod starts a pod that does not write yet.
func startPod(t *testing.T, node string, opts transport.RedisOptions) *pod {
	t.Helper()
	p := &pod{t: t, kept: map[string]string{}, newest: map[string]sharedWrite{}, stop: func() {}}
	opts.OnError = func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lost = append(p.lost, err)
	}
	p.options = opts
	var err error
	p.transport, err = transport.NewRedisTransport(opts)
	require.NoError(t, err)
	p.Store, err = podshare.New(t.Context(), topic, p.transport,
		podshare.WithNodeID[string](node), podshare.WithErrorHandler[string](p.hear))
	if err != nil {
		_ = p.transport.Close() // the reason is known
	}
	require.NoError(t, err)
	t.Cleanup(p.close)
	return p
}

// close ends the pod, and the client that was made for it.
func (p *pod) close() {
	p.stop()
	assert.NoError(p.t, p.Close())
	assert.NoError(p.t, p.transport.Close())
	if c := p.options.Client; c != nil {
		_ = c.Close() // it may be closed already
	}
}

func (p *pod) hear(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, err)
}

// write writes until stop is called. It is for the test's goroutine.
func (p *pod) write() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(writeEvery)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.step(ctx, n)
			}
		}
	}()
}

// step writes a key of this pod and a shared one, and deletes some.
func (p *pod) step(ctx context.Context, n int) {
	if n%2 == 0 {
		within, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		ctx = within
	}
	key, value := fmt.Sprintf("%s/%d", p.NodeID(), n), fmt.Sprintf("%s wrote %d", p.NodeID(), n)
	if p.acknowledged(p.Set(ctx, key, value)) {
		p.keep(key, value)
	}
	if n%4 == 3 {
		p.forget(ctx, fmt.Sprintf("%s/%d", p.NodeID(), n-2))
	}
	shared := fmt.Sprintf("shared/%d", n%sharedKeys)
	if n%(3*sharedKeys) < sharedKeys {
		if p.acknowledged(p.Delete(ctx, shared)) {
			p.note(shared, "")
		}
	} else if p.acknowledged(p.Set(ctx, shared, value)) {
		p.note(shared, value)
	}
}

// acknowledged tells whether a write stands here. All others changed nothing: the pod stops writing.
func (p *pod) acknowledged(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, podshare.ErrBroadcast):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pending++
		return true
	default:
		assert.True(p.t, errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), "%s: %v", p.NodeID(), err)
		return false
	}
}

func (p *pod) keep(key, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[key] = value
}

// forget deletes a key of this pod. From the call on nobody may expect it to be there.
func (p *pod) forget(ctx context.Context, key string) {
	p.mu.Lock()
	value, held := p.kept[key]
	delete(p.kept, key)
	p.mu.Unlock()
	if held && !p.acknowledged(p.Delete(ctx, key)) {
		p.keep(key, value)
	}
}

// note remembers what this pod made of a shared key, unless another pod has overwritten that already.
func (p *pod) note(key, value string) {
	if v := p.Version(key); v.Origin == p.NodeID() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.newest[key] = sharedWrite{v, value}
	}
}

// saidCutOff tells whether the store has said that it is cut off.
func (p *pod) saidCutOff() bool {
	return p.heard(func(err error) bool {
		var health *podshare.HealthError
		return errors.As(err, &health) && health.To == podshare.CutOff
	})
}

// forgetErrors forgets what was said until now.
func (p *pod) forgetErrors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = nil
}

// complained tells whether the store has said that it is cut off, or that Redis fails.
func (p *pod) complained() bool {
	return p.saidCutOff() || p.heard(func(err error) bool { return strings.Contains(err.Error(), "redis: ") })
}

// heard tells whether the store's error handler was told of such an error.
func (p *pod) heard(such func(err error) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.said, such)
}
