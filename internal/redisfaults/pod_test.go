//go:build unix

package redisfaults

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

const (
	topic = "topic"

	// writeEvery is how long a pod rests between two steps of writing.
	writeEvery = 3 * time.Millisecond
)

// pod is a store with a transport of its own.
type pod struct {
	*podshare.Store[string]
	t         *testing.T
	transport *transport.RedisTransport
	options   transport.RedisOptions
	writer    *fleettest.Writer

	mu   sync.Mutex // guards all below
	said []error    // by the store
	lost []error    // by the transport
}

// startPod starts a pod that does not write yet.
func startPod(t *testing.T, node string, opts transport.RedisOptions) *pod {
	t.Helper()
	p := &pod{t: t}
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
	p.writer = fleettest.NewWriter(p.Store, node, writeEvery)
	t.Cleanup(p.close)
	return p
}

// close ends the pod, and the client that was made for it.
func (p *pod) close() {
	p.writer.Stop()
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

// write writes until the pod is closed, or the fleet settles.
func (p *pod) write() { p.writer.Start() }

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
