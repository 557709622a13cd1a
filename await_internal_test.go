package podshare

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// testReplica is a replica of strings without a shell.
func testReplica(node string, boot uint64) *replica[string] {
	r := newReplica(replicaConfig[string]{
		node: node, boot: boot, codec: newCodec[string](JSONCodec{}, false), limits: Limits{}.withDefaults(),
		tombstoneTTL: time.Hour, maxSkew: time.Minute, lease: time.Minute, heartbeat: minHeartbeat, seed: 1, hashSeed: simHash,
	}, instant{})
	r.out.changed = func(EventKind, *entry[string], bool) {}
	return r
}

// hand gives a replica a frame.
func hand(t *testing.T, r *replica[string], at instant, frame []byte) {
	t.Helper()
	in := new(inbound[string])
	require.NoError(t, in.open(frame, &r.cfg.codec, &r.cfg.limits))
	r.receive(at, in)
}

// sentSeen takes the heads of the seen frames that a replica sends.
func sentSeen(t *testing.T, r *replica[string]) (heads []uint64) {
	t.Helper()
	for _, f := range r.out.frames {
		h, body, err := wire.Open(f.bytes, wire.Limits{})
		require.NoError(t, err)
		if h.Kind == wire.KindSeen {
			var m wire.Seen
			require.NoError(t, m.Parse(body))
			heads = append(heads, m.Head)
		}
	}
	r.out.frames = nil
	return heads
}

// What a pod asked is not forgotten while it is silent.
//
//	x: ──write 1 (lost)──ask──(silent for a minute)──write 1──▶ b answers
func TestAskOfAPodThatWasSilentIsAnswered(t *testing.T) {
	b, x := testReplica("b", 1), testReplica("x", 2)
	at := instant{wall: time.Now().UnixNano()}
	require.NoError(t, x.write(at, &localWrite[string]{key: "k", value: "v", encoded: []byte(`"v"`)}))
	h := x.header(at)
	data := wire.AppendData(nil, &h, x.sent, true)
	hand(t, b, at, (&wire.Ask{}).Append(nil, &h))
	require.Equal(t, 1, b.peers.asking)

	at.mono += int64(time.Minute)
	at.wall += int64(time.Minute)
	b.tick(at)
	require.Empty(t, b.peers.list)
	require.Zero(t, b.peers.asking)
	require.Empty(t, sentSeen(t, b))
	hand(t, b, at, data)
	require.Equal(t, []uint64{1}, sentSeen(t, b))
	require.Zero(t, b.peers.asking)
}

// Nothing of Await and WaitFor is left behind when they return.
func TestWaitingLeavesNothingBehind(t *testing.T) {
	s := openQuiet(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	future := Version{Timestamp: time.Now().Add(time.Hour), Origin: "x", Seq: 1, Exists: true}
	for range 10 {
		go func() { done <- s.WaitFor(ctx, "k", future) }()
		go func() { done <- s.Await(ctx, 1) }()
	}
	require.NoError(t, s.Set(ctx, "k", "v")) // a step that is not the one they wait for
	cancel()
	for range 20 {
		require.ErrorIs(t, <-done, context.Canceled)
	}
	require.NoError(t, s.WaitFor(t.Context(), "k", s.Version("k")))
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(t, s.core.followers)
	require.Zero(t, s.core.asking.callers)
	require.Equal(t, never, s.core.nextAsk())
}
