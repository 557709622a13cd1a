package transport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

func TestP2PFrameLimits(t *testing.T) {
	log := new(reports)
	a := openP2P(t, reportTo(log), func(o *transport.P2POptions) { o.MaxFrameBytes = 2 << 10 })
	b := openP2P(t, to(a), func(o *transport.P2POptions) { o.MaxFrameBytes = 1 << 10 })
	frames, err := b.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	eventually(t, func() bool { return len(a.Stats().Peers) == 1 && !a.Alone("topic") }, "b is there")
	eventually(t, func() bool {
		require.NoError(t, a.Publish(t.Context(), "topic", make([]byte, 1<<10)))
		return len(frames) > 0
	}, "the largest that b takes")
	require.ErrorIs(t, a.Publish(t.Context(), "topic", make([]byte, 2<<10+1)), transport.ErrFrameTooLarge)
	require.NoError(t, a.Publish(t.Context(), "topic", make([]byte, 2<<10)), "which others may take")
	require.True(t, log.heard(transport.ErrFrameTooLarge, "a peer takes 1024"), "%v", log.all())
	require.NotZero(t, a.Stats().Peers[0].Dropped)

	// Limits of frames are none of snapshots.
	large := bytes.Repeat([]byte("snapshot"), 1<<17)
	require.NoError(t, a.Snapshot(t.Context(), "topic", large))
	data, err := b.FetchSnapshot(t.Context(), "topic")
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, data))
}

func TestP2PTopicLimits(t *testing.T) {
	a := openP2P(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := a.Subscribe(ctx, strings.Repeat("x", 8<<10+1))
	require.ErrorContains(t, err, "at most 8192")
	n := 0
	for err = nil; err == nil; n++ {
		_, err = a.Subscribe(ctx, fmt.Sprintf("%08d", n)+strings.Repeat("x", 8<<10-8))
	}
	require.ErrorContains(t, err, "more are not possible")
	require.Equal(t, 4<<20/(8<<10)+1, n)
	b := openP2P(t, to(a))
	eventually(t, func() bool { return len(b.Stats().Peers) == 1 && !b.Alone("00000000"+strings.Repeat("x", 8<<10-8)) }, "b knows them")
	cancel()
	eventually(t, func() bool { return b.Alone("00000000" + strings.Repeat("x", 8<<10-8)) }, "and that they have ended")
	_, err = a.Subscribe(t.Context(), "there is room again")
	require.NoError(t, err)
}

// Whoever has got in and then sends what no peer sends is shown out, and says no more.
func TestP2PPeersThatMisbehaveAreDisconnected(t *testing.T) {
	for name, sent := range map[string]string{
		"too many topics":         topics(1<<14 + 1),
		"too many bytes":          strings.Repeat(rawFrame(3, "\x01"+strings.Repeat("x", 8<<10+1)), 1),
		"a topic without a name":  rawFrame(3, "\x01"),
		"one number twice":        rawFrame(3, "\x01a") + rawFrame(3, "\x01b"),
		"number 0":                rawFrame(3, "\x00a"),
		"a hello in the middle":   rawHello(highID),
		"a cut number":            rawFrame(5, "\x80"),
		"a cut wish":              rawFrame(7, "\x01\x80"),
		"a cut piece":             rawFrame(8, "\x01"),
		"an empty frame":          "\x00\x00\x00\x00",
		"a length beyond reason":  "\xff\xff\xff\xff\x05",
		"a length that is a lie":  "\x00\x10\x00\x00\x05 and nothing more",
		"a goodbye with a reason": rawFrame(9, "I am offended"),
	} {
		t.Run(name, func(t *testing.T) {
			log := new(reports)
			a := openP2P(t, plaintext, reportTo(log))
			conn := dialRaw(t, a)
			_, err := io.WriteString(conn, sent)
			require.NoError(t, err)
			if name == "a length that is a lie" {
				require.NoError(t, conn.Close())
			} else {
				_, _ = io.Copy(io.Discard, conn) // to the end
			}
			eventually(t, func() bool { return len(a.Stats().Peers) == 0 && log.heard(nil, "lost") }, "it is gone")
			require.True(t, a.Alone("a") && a.Alone("b"))
		})
	}
}

func topics(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(rawFrame(3, string(binary.AppendUvarint(nil, uint64(i+1)))+"t"))
	}
	return b.String()
}
