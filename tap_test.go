package podshare_test

import (
	"context"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport/transporttest"
)

// tap is a transport that a test listens to, and whose calls it may replace. Set the functions before the
// first store uses it.
type tap struct {
	podshare.Transport
	onPublish   func(ctx context.Context, topic string, msg []byte) error // instead of Publish
	onSubscribe func(ctx context.Context, topic string) (<-chan []byte, error)
	onSnapshot  func(ctx context.Context, topic string, data []byte) error
	onFetch     func(ctx context.Context, topic string) ([]byte, error)

	mu        sync.Mutex // guards the rest
	frames    []published
	published int // bytes
}

type published struct {
	topic string
	frame []byte
}

func (p *tap) Publish(ctx context.Context, topic string, msg []byte) error {
	p.mu.Lock()
	p.frames = append(p.frames, published{topic, msg})
	p.published += len(msg)
	p.mu.Unlock()
	if p.onPublish != nil {
		return p.onPublish(ctx, topic, msg)
	}
	return p.Transport.Publish(ctx, topic, msg)
}

func (p *tap) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if p.onSubscribe != nil {
		return p.onSubscribe(ctx, topic)
	}
	return p.Transport.Subscribe(ctx, topic)
}

func (p *tap) Snapshot(ctx context.Context, topic string, data []byte) error {
	if p.onSnapshot != nil {
		return p.onSnapshot(ctx, topic, data)
	}
	return p.Transport.Snapshot(ctx, topic, data)
}

func (p *tap) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if p.onFetch != nil {
		return p.onFetch(ctx, topic)
	}
	return p.Transport.FetchSnapshot(ctx, topic)
}

// sent returns the frames of one kind, in the order in which they were published.
func (p *tap) sent(t testing.TB, kind wire.Kind) [][]byte {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var frames [][]byte
	for _, f := range p.frames {
		h, _, err := wire.Open(f.frame, wire.Limits{MaxFrame: 1 << 30})
		require.NoError(t, err)
		if h.Kind == kind {
			frames = append(frames, f.frame)
		}
	}
	return frames
}

// traffic returns how many frames and bytes were published.
func (p *tap) traffic() (frames, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.frames), p.published
}

// stranger is a pod made of frames: it writes what no Store would, and answers nobody.
type stranger struct {
	node  string
	boot  uint64
	codec string
	ahead time.Duration // of its clock
	seq   uint64        // of its last write
}

func newStranger(node string) *stranger {
	return &stranger{node: node, boot: uint64(time.Now().UnixNano()), codec: "json"}
}

func (x *stranger) now() int64 { return time.Now().Add(x.ahead).UnixNano() }

func (x *stranger) header() wire.Header {
	return wire.Header{Node: []byte(x.node), Boot: x.boot, Clock: x.now(), Head: x.seq, Codec: []byte(x.codec)}
}

// set returns the record of its next write.
func (x *stranger) set(key, value string) wire.Record {
	x.seq++
	return wire.Record{Key: []byte(key), Seq: x.seq, Stamp: x.now(), Value: []byte(value)}
}

// batch makes one batch of consecutive records.
func batch(recs ...wire.Record) []wire.Record {
	for i := range recs {
		recs[i].BatchFirst, recs[i].BatchLen = recs[0].Seq, uint64(len(recs))
	}
	return recs
}

func (x *stranger) records(recs []wire.Record) *wire.Records {
	var rs wire.Records
	rs.Reset([]byte(x.node), x.boot)
	for i := range recs {
		rs.Add(&recs[i])
	}
	return &rs
}

// data returns a frame of writes.
func (x *stranger) data(recs ...wire.Record) []byte {
	h := x.header()
	return wire.AppendData(nil, &h, x.records(recs), true)
}

// snapshot returns a stored snapshot of all that it ever wrote.
func (x *stranger) snapshot(recs ...wire.Record) []byte {
	h := x.header()
	id := h.ID()
	m := wire.Snapshot{Vector: []wire.VectorEntry{{ID: id, Head: x.seq}}}
	return wire.AppendSnapshot(nil, &h, &m, x.records(recs), true)
}

// heartbeat returns a heartbeat that claims nothing but its head and clock.
func (x *stranger) heartbeat() []byte {
	h := x.header()
	m := wire.Heartbeat{IntervalMillis: 1000, MinVersion: 1, MaxVersion: 1, Pods: 1}
	return m.Append(nil, &h)
}

// resealed returns a frame with one byte changed and its checksum made right.
func resealed(frame []byte, at int, to byte) []byte {
	b := slices.Clone(frame)
	b[at] = to
	sum := crc32.Checksum(b[:len(b)-5], crc32.MakeTable(crc32.Castagnoli))
	b[len(b)-4], b[len(b)-3], b[len(b)-2], b[len(b)-1] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return b
}

// publish sends a frame to all stores of the topic and lets them take it in.
func publish(t testing.TB, tr podshare.Transport, frame []byte) {
	t.Helper()
	require.NoError(t, tr.Publish(t.Context(), topic, frame))
}

// requireIdleTraffic fails if pods that have nothing to say to each other send more, in an hour, than their
// heartbeats and what back-off allows.
func requireIdleTraffic[T any](t testing.TB, tr *tap, stores ...*podshare.Store[T]) {
	t.Helper()
	pass(time.Minute)
	before, bytesBefore := tr.traffic()
	pass(time.Hour)
	frames, bytes := tr.traffic()
	heartbeats := len(stores) * 3600 * 10 / 9
	require.Less(t, frames-before, heartbeats+len(stores)*3*60, "frames in an hour of nothing")
	require.Less(t, bytes-bytesBefore, heartbeats*200+len(stores)*64<<10, "bytes in an hour of nothing")
}

// beatLike returns a heartbeat with the vector that a pod announces next, and another digest.
func (x *stranger) beatLike(t testing.TB, net *transporttest.Network, pod string) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	frames, err := net.Pod("x").Subscribe(ctx, topic)
	require.NoError(t, err)
	for frame := range frames {
		h, body, err := wire.Open(frame, wire.Limits{})
		require.NoError(t, err)
		var m wire.Heartbeat
		if h.Kind != wire.KindHeartbeat || string(h.Node) != pod {
			continue
		}
		require.NoError(t, m.Parse(body))
		m.Digest++
		own := x.header()
		return m.Append(nil, &own)
	}
	require.FailNow(t, "no heartbeat")
	return nil
}
