package transport_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// patience is for what happens at once, on a machine that does much else.
const patience = 20 * time.Second

func eventually(t *testing.T, ok func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, ok, patience, time.Millisecond, append([]any{what}, args...)...)
}

// connected waits until each transport has a connection to each other.
func connected(t *testing.T, all ...*transport.P2PTransport) {
	t.Helper()
	for _, tr := range all {
		eventually(t, func() bool { return len(tr.Stats().Peers) == len(all)-1 }, "%s", tr.Addr())
	}
}

// exchange sends a frame each way between all, on a topic that none uses otherwise.
func exchange(t *testing.T, all ...*transport.P2PTransport) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var inboxes []<-chan []byte
	for _, tr := range all {
		frames, err := tr.Subscribe(ctx, "exchange")
		require.NoError(t, err)
		inboxes = append(inboxes, frames)
	}
	for i, tr := range all {
		want := fmt.Sprint("from ", i)
		heard := map[int]bool{i: true}
		eventually(t, func() bool {
			require.NoError(t, tr.Publish(ctx, "exchange", []byte(want)))
			for j, frames := range inboxes {
				select {
				case f := <-frames:
					heard[j] = heard[j] || string(f) == want
				default:
				}
			}
			return len(heard) == len(all)
		}, "%s reaches all", want)
	}
}

func TestP2PDialsThatMeetSettleOnOneConnection(t *testing.T) {
	for range 20 {
		// Each knows the others before any of them dials.
		var mesh []*transport.P2PTransport
		for range 3 {
			mesh = append(mesh, openP2P(t))
		}
		var start sync.WaitGroup
		for _, tr := range mesh {
			start.Go(func() {
				for _, other := range mesh {
					tr.AddPeer(other.Addr()) // its own, too
				}
			})
		}
		start.Wait()
		connected(t, mesh...)
		exchange(t, mesh...)
		// Both ends of a pair use the same connection: who made it differs.
		for i, tr := range mesh {
			for _, other := range mesh[i+1:] {
				a, b := link(tr, other), link(other, tr)
				eventually(t, func() bool {
					a, b = link(tr, other), link(other, tr)
					return a != nil && b != nil && a.Inbound != b.Inbound
				},
					"one connection: %+v, %+v", a, b)
			}
		}
	}
}

// link returns what from says of its connection to the transport at to.
func link(from, to *transport.P2PTransport) *transport.P2PPeerStats {
	peers := from.Stats().Peers
	i := slices.IndexFunc(peers, func(p transport.P2PPeerStats) bool { return p.Remote == to.Addr() })
	if i < 0 {
		return nil
	}
	return &peers[i]
}

func TestP2PTellsWhoComesAndGoes(t *testing.T) {
	type event struct {
		remote  string
		inbound bool
		here    bool
	}
	var mu sync.Mutex
	var events []event
	note := func(here bool) func(string, bool) {
		return func(remote string, inbound bool) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, event{remote, inbound, here})
		}
	}
	a := openP2P(t, func(o *transport.P2POptions) { o.OnConnect, o.OnDisconnect = note(true), note(false) })
	b := newP2P(t, to(a))
	connected(t, a, b)
	require.NoError(t, b.Close())
	eventually(t, func() bool { return len(a.Stats().Peers) == 0 }, "b is gone")
	c := openP2P(t)
	require.True(t, a.AddPeer(c.Addr()))
	require.False(t, a.AddPeer(c.Addr()))
	require.Equal(t, []string{c.Addr()}, a.Peers())
	connected(t, a, c)
	require.True(t, a.RemovePeer(c.Addr()))
	require.False(t, a.RemovePeer(c.Addr()))
	require.Empty(t, a.Peers())
	eventually(t, func() bool { return len(a.Stats().Peers) == 0 && len(c.Stats().Peers) == 0 }, "c is removed")
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(events) == 4 }, "four events")
	require.Equal(t, []event{
		{b.Addr(), true, true},
		{b.Addr(), true, false},
		{c.Addr(), false, true},
		{c.Addr(), false, false},
	}, events)
}

func TestP2PRemovePeerEndsADial(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	a := openP2P(t, func(o *transport.P2POptions) { o.DialTimeout = time.Hour })
	a.AddPeer(silent.Addr().String())
	conn, err := silent.Accept()
	require.NoError(t, err)
	defer conn.Close()
	require.True(t, a.RemovePeer(silent.Addr().String()))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	for err == nil {
		_, err = conn.Read(make([]byte, 1<<10))
	}
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the connection is closed")
}

func TestP2PComesBack(t *testing.T) {
	a := openP2P(t)
	b := newP2P(t, to(a))
	addr := b.Addr()
	a.AddPeer(addr)
	connected(t, a, b)
	for range 3 {
		require.NoError(t, b.Close())
		eventually(t, func() bool { return len(a.Stats().Peers) == 0 }, "b is gone")
		b = newP2P(t, func(o *transport.P2POptions) { o.Listen = addr }) // without a: a dials
		connected(t, a, b)
		exchange(t, a, b)
	}
	require.NoError(t, b.Close())
}

func TestP2PFramesGoToSubscribersOnly(t *testing.T) {
	a := openP2P(t)
	b, c := openP2P(t, to(a)), openP2P(t, to(a))
	eventually(t, func() bool { return len(a.Stats().Peers) == 2 }, "both are there")
	inbox, err := b.Subscribe(t.Context(), "inbox of b")
	require.NoError(t, err)
	eventually(t, func() bool {
		require.NoError(t, a.Publish(t.Context(), "inbox of b", []byte("hello")))
		return len(inbox) > 0
	}, "b hears")
	require.Zero(t, link(a, c).FramesSent, "c has not subscribed")
	require.NotZero(t, link(a, b).FramesSent)
}

func TestP2PTellsOfANewSubscriber(t *testing.T) {
	a, b := openP2P(t), openP2P(t)
	var mu sync.Mutex
	var told []bool
	a.NotifyConnection(t.Context(), "flags", func(connected bool) { mu.Lock(); defer mu.Unlock(); told = append(told, connected) })
	_, err := b.Subscribe(t.Context(), "flags")
	require.NoError(t, err)
	_, err = b.Subscribe(t.Context(), "other")
	require.NoError(t, err)
	a.AddPeer(b.Addr())
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(told) > 0 }, "told")
	require.Equal(t, []bool{false, true}, told)
	require.False(t, a.Alone("flags"))
	eventually(t, func() bool { return a.Alone("third") }, "nobody is on the third topic")
}

func TestP2PKnowsWhenItIsAlone(t *testing.T) {
	require.True(t, openP2P(t).Alone("flags"), "without peers")
	a := openP2P(t)
	a.AddPeer(a.Addr())
	a.AddPeer("127.0.0.1:1")
	_, err := a.FetchSnapshot(t.Context(), "flags")
	require.NoError(t, err)
	require.True(t, a.Alone("flags"), "with itself and nobody")

	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	b := openP2P(t, func(o *transport.P2POptions) {
		o.Peers, o.SnapshotTimeout = []string{silent.Addr().String()}, time.Millisecond
	})
	_, err = b.FetchSnapshot(t.Context(), "flags")
	require.NoError(t, err)
	require.False(t, b.Alone("flags"), "with one that may yet answer")
}

func TestP2PFullQueueLosesOnlyWhatIsForIt(t *testing.T) {
	log := new(reports)
	a := openP2P(t, plaintext, reportTo(log), func(o *transport.P2POptions) { o.SendQueueDepth = 4 })
	b := openP2P(t, plaintext, to(a))
	frames, err := b.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	stuck, _ := subscribeRaw(t, a, "topic") // reads no more
	defer stuck.Close()
	eventually(t, func() bool { return len(a.Stats().Peers) == 2 }, "both are there")
	received := 0
	eventually(t, func() bool {
		require.NoError(t, a.Publish(t.Context(), "topic", make([]byte, 1<<20)))
		select {
		case <-frames:
			received++
		default:
		}
		return received > 10 && log.heard(transport.ErrQueueFull, "topic")
	}, "one hears, the other's queue is full")
}

func TestP2POverIPv6(t *testing.T) {
	probe, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	require.NoError(t, probe.Close())
	six := func(o *transport.P2POptions) { o.Listen = "[::1]:0" }
	a := openP2P(t, six)
	b := openP2P(t, six, to(a))
	connected(t, a, b)
	exchange(t, a, b)
	require.NotNil(t, link(a, b), "it advertises %s: %+v", b.Addr(), a.Stats().Peers)
}

// A frame that was given to Publish is sent: nobody but the pod itself has it.
func TestP2PPublishesForWritersThatGiveUp(t *testing.T) {
	a := openP2P(t)
	b := openP2P(t, to(a))
	frames, err := b.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	ctx, giveUp := context.WithCancel(t.Context())
	giveUp()
	eventually(t, func() bool {
		require.NoError(t, a.Publish(ctx, "topic", []byte("frame")))
		return len(frames) > 0
	}, "it comes")
}
