//go:build linux

package p2pfaults

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/transport"
)

const (
	topic = "topic"

	// keepAlive, for tests of silent peers, notices one sooner than the default does.
	keepAlive = time.Second

	// reconnect is the longest pause between two attempts to connect.
	reconnect = 250 * time.Millisecond

	// collectEvery is how often a store looks for tombstones to collect.
	collectEvery = 200 * time.Millisecond
)

// config is how to start a pod, in this process or in another one.
type config struct {
	Node, Run    string // the name of the pod, and of this run of it
	Listen       string
	Advertise    string
	Peers        []string
	Secret       []byte
	WriteEvery   time.Duration
	KeepAlive    time.Duration
	TombstoneTTL time.Duration // 0: the default
}

func (c config) options() transport.P2POptions {
	return transport.P2POptions{
		Listen: c.Listen, Advertise: c.Advertise, Peers: c.Peers, Node: c.Node, Secret: c.Secret,
		KeepAlivePeriod: c.KeepAlive, ReconnectInterval: reconnect,
		// Longer than the default where nobody is silent: fleets of this size on few cores, under the race detector, need
		// seconds for their handshakes of TLS, and those given up are made again.
		DialTimeout: 2 * c.KeepAlive,
	}
}

// impatient pods soon notice that a peer is silent.
func impatient(c *config, o *transport.P2POptions) {
	c.KeepAlive = keepAlive
	o.KeepAlivePeriod, o.DialTimeout = c.KeepAlive, 2*c.KeepAlive
}

// member is a pod of a fleet, wherever it runs. Those of another process fail the test themselves.
type member interface {
	write()
	stop() // ends the writing
	set(key, value string)
	remove(key string)
	status() status
	diary() fleettest.Diary
	contents() fleettest.Contents
	close()
}

// status is what a pod says of itself.
type status struct {
	Node       string
	Ready      bool
	State      podshare.HealthState
	Heard      []string // pods that the store hears
	Connected  []string // pods that the transport is connected to
	Kept       int      // see fleettest.Writer.Kept
	CutOff     bool     // the store has said that it is cut off
	Said       []string // by the store and the transport
	Tombstones int
	Collected  uint64 // of them, ever
	Dropped    uint64 // frames, for a queue of the transport was full
	Refused    uint64 // connections
}

// pod is a store with a transport of its own, in this process.
type pod struct {
	store     *podshare.Store[string]
	transport *transport.P2PTransport
	writer    *fleettest.Writer
	once      sync.Once // closes it

	mu     sync.Mutex // guards all below
	cutOff bool
	said   []error
}

// openPod starts a pod that does not write yet.
func openPod(c config, opts transport.P2POptions) (p *pod, err error) {
	p = &pod{}
	opts.OnError = p.hear
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	if p.transport, err = transport.NewP2PTransport(opts); err != nil {
		return nil, err
	}
	p.store, err = podshare.New(context.Background(), topic, p.transport,
		podshare.WithNodeID[string](c.Node), podshare.WithErrorHandler[string](p.hear),
		podshare.WithTombstoneTTL[string](c.TombstoneTTL), podshare.WithGCInterval[string](collectEvery))
	if err != nil {
		return nil, errors.Join(err, p.transport.Close())
	}
	p.writer = fleettest.NewWriter(p.store, c.Run, c.WriteEvery)
	return p, nil
}

func (p *pod) hear(err error) {
	var health *podshare.HealthError
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, err)
	p.cutOff = p.cutOff || errors.As(err, &health) && health.To == podshare.CutOff
}

// heard tells whether the store or the transport has said such an error.
func (p *pod) heard(such func(err error) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.said, such)
}

func (p *pod) write()                       { p.writer.Start() }
func (p *pod) stop()                        { p.writer.Stop() }
func (p *pod) set(key, value string)        { p.writer.Set(context.Background(), key, value) }
func (p *pod) remove(key string)            { p.writer.Delete(context.Background(), key) }
func (p *pod) diary() fleettest.Diary       { return p.writer.Diary() }
func (p *pod) contents() fleettest.Contents { return fleettest.Read(p.store) }

func (p *pod) status() status {
	health, stats := p.store.Health(), p.transport.Stats()
	s := status{
		Node: p.store.NodeID(), Ready: p.store.Ready(), State: health.State, Kept: p.writer.Kept(),
		Tombstones: p.store.Stats().Tombstones, Collected: p.store.Stats().TombstonesGCed, Dropped: stats.Dropped, Refused: stats.Refused,
	}
	for _, peer := range health.Peers {
		s.Heard = append(s.Heard, peer.Node)
	}
	for _, peer := range stats.Peers {
		s.Connected = append(s.Connected, peer.Node)
		s.Dropped += peer.Dropped
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.CutOff = p.cutOff
	for _, err := range p.said[max(0, len(p.said)-20):] {
		s.Said = append(s.Said, err.Error())
	}
	return s
}

// close ends the pod as a deployment does. It may be called again.
func (p *pod) close() {
	p.once.Do(func() {
		p.stop()
		if err := errors.Join(p.store.Close(), p.transport.Close()); err != nil {
			panic(fmt.Sprintf("%s: close: %v", p.store.NodeID(), err))
		}
	})
}

// sendTo writes a key and returns how long it took to come to another pod.
func (p *pod) sendTo(t *testing.T, to *pod, key, value string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fleettest.Patience)
	defer cancel()
	began := time.Now()
	p.set(key, value)
	require.NoError(t, to.store.WaitFor(ctx, key, p.store.Version(key)))
	return time.Since(began)
}

// newLarge returns a source of values of 64 KiB, each another one, that no compression makes much smaller.
func newLarge() func() string {
	random := rand.NewChaCha8([32]byte{})
	return func() string {
		b := make([]byte, 32<<10)
		_, _ = random.Read(b) // never fails
		return hex.EncodeToString(b)
	}
}
