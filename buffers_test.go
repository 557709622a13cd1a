package podshare

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

func openQuiet(t *testing.T) *Store[string] {
	t.Helper()
	s, err := New[string](t.Context(), "topic", nowhere{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// nowhere is a transport that leads to nobody.
type nowhere struct{}

func (nowhere) Publish(context.Context, string, []byte) error { return nil }

func (nowhere) Subscribe(ctx context.Context, _ string) (<-chan []byte, error) {
	frames := make(chan []byte)
	context.AfterFunc(ctx, func() { close(frames) })
	return frames, nil
}

func (nowhere) Snapshot(context.Context, string, []byte) error { return nil }

func (nowhere) FetchSnapshot(context.Context, string) ([]byte, error) { return nil, nil }

func (nowhere) Close() error { return nil }

// What a frame was read into is used again for the next one, unless the frame was large or had many writes: it would be
// kept for as long as no other comes.
func TestBuffersOfALargeFrameAreNotReused(t *testing.T) {
	s := openQuiet(t)
	frame := func(records, bytes int) []byte {
		h := wire.Header{Node: []byte("x"), Boot: 1, Clock: time.Now().UnixNano(), Codec: []byte("json")}
		var rs wire.Records
		rs.Reset(h.Node, h.Boot)
		for i := range records {
			rs.Add(&wire.Record{
				Key: fmt.Append(nil, i), Seq: uint64(i + 1), Stamp: h.Clock, Value: fmt.Appendf(nil, "%q", strings.Repeat("v", bytes)),
			})
		}
		return wire.AppendData(nil, &h, &rs, false)
	}
	for _, c := range []struct {
		name           string
		records, bytes int
		reused         bool
	}{
		{"small", 1, 10, true},
		{"large value", 1, maxReuse, false},
		{"many writes", 2 * maxReuse / 64, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := new(inbound[string])
			require.Equal(t, c.reused, s.receive(in, frame(c.records, c.bytes)) == in)
		})
	}
}

// The records of a frame that was published are used again for the next one, unless they grew large.
func TestBuffersOfALargePublishAreNotReused(t *testing.T) {
	s := openQuiet(t)
	spare := func() *wire.Records {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.out.spare
	}
	require.NoError(t, s.Set(t.Context(), "k", "small"))
	require.NotNil(t, spare())
	require.NoError(t, s.Set(t.Context(), "k", strings.Repeat("v", frameTarget)))
	require.Nil(t, spare())
}

// A queue that frames were taken from does not keep them reachable.
func TestFramesTakenFromTheQueueAreLetGo(t *testing.T) {
	records := func() *wire.Records {
		var rs wire.Records
		rs.Reset([]byte("a"), 1)
		return &rs
	}
	first, second := dataFrame{records: records()}, dataFrame{records: records()}
	out := outbox{frames: []dataFrame{first, second}}
	queue := out.frames
	require.Same(t, first.records, out.first().records)
	require.Zero(t, queue[0])
	require.Same(t, second.records, out.first().records)
	require.Zero(t, queue[1])
	require.False(t, out.waiting())
}
