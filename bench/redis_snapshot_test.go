//go:build unix

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// BenchmarkRedisSnapshot is what it takes to bring the snapshot in Redis up to date when 10 of 100,000 entries changed
// on one pod: bytes of all pods to and from Redis together, and the processor time of the server. held-B is the size of
// what the snapshot holds: keys and values.
func BenchmarkRedisSnapshot(b *testing.B) {
	const changed = 10
	all := payloads(held)
	for _, pods := range []int{1, 10} {
		for _, d := range designs[payload]() {
			if pods > 1 && d.name == "naive" {
				continue // ten times what one of them moves, and most of a minute
			}
			b.Run(fmt.Sprintf("pods=%d/impl=%s", pods, d.name), func(b *testing.B) {
				f := newRedisFleet(b, d)
				f.store(all)
				stores := make([]store[payload], pods)
				for i := range stores {
					stores[i] = f.open(fmt.Sprintf("pod-%d", i), 20*time.Millisecond)
				}
				admin := f.server.Client()
				rng := newRand()
				change := func() (bytes, cpu float64) {
					bytesBefore, cpuBefore := f.traffic.bytes.Load(), serverCPU(b, admin)
					some := make(map[string]payload, changed)
					for i := range changed {
						some[key(i)] = randomPayload(rng)
					}
					fill(b, stores[0], some)
					f.quiet(bytesBefore)
					return float64(f.traffic.bytes.Load() - bytesBefore), float64((serverCPU(b, admin) - cpuBefore).Microseconds())
				}
				change() // whoever has started looks at all that is stored, once
				var bytes, cpu []float64
				for b.Loop() {
					moved, used := change()
					bytes, cpu = append(bytes, moved), append(cpu, used)
				}
				b.ReportMetric(median(bytes), "moved-B")
				b.ReportMetric(median(cpu), "server-us")
				b.ReportMetric(held*float64(len(key(0))+len(payload{})), "held-B")
				b.ReportMetric(0, "ns/op") // it waits until nothing moves
			})
		}
	}
}

// BenchmarkRedisJoin is the time until an empty pod holds 100,000 entries that it finds in Redis, with no other pod
// there, and the bytes that it takes.
func BenchmarkRedisJoin(b *testing.B) {
	all := payloads(held)
	for _, d := range designs[payload]() {
		b.Run("impl="+d.name, func(b *testing.B) {
			f := newRedisFleet(b, d)
			f.store(all)
			var took []time.Duration
			var bytes []float64
			for b.Loop() {
				before, start := f.traffic.bytes.Load(), time.Now()
				s := f.openUnowned("pod-1", never)
				wait(b, func() bool { return d.len(s) == held })
				took = append(took, time.Since(start))
				bytes = append(bytes, float64(f.traffic.bytes.Load()-before))
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(median(took).Milliseconds()), "ms")
			b.ReportMetric(median(bytes), "moved-B")
			b.ReportMetric(0, "ns/op") // the end of the pod is none of it
		})
	}
}

// redisFleet is stores of one design whose snapshots are in Redis.
type redisFleet struct {
	b       *testing.B
	design  design[payload]
	server  *redistest.Server
	frames  *transport.MemoryTransport
	traffic traffic
}

func newRedisFleet(b *testing.B, d design[payload]) *redisFleet {
	b.Helper()
	return &redisFleet{b: b, design: d, server: startRedis(b), frames: newMemory(b)}
}

// store has Redis hold what a pod wrote that is gone.
func (f *redisFleet) store(kvs map[string]payload) {
	f.b.Helper()
	s := f.openUnowned("gone", 20*time.Millisecond)
	fill(f.b, s, kvs)
	f.quiet(0) // the naive one stores nothing at its end
	if err := s.Close(); err != nil {
		f.b.Fatal(err)
	}
}

// open opens a store that is closed with the benchmark.
func (f *redisFleet) open(node string, debounce time.Duration) store[payload] {
	f.b.Helper()
	s := f.openUnowned(node, debounce)
	closeAfter(f.b, s)
	return s
}

func (f *redisFleet) openUnowned(node string, debounce time.Duration) store[payload] {
	f.b.Helper()
	t := newRedis(f.b, transport.RedisOptions{Client: f.server.Client(counted(&f.traffic))})
	return f.design.open(f.b, &redisSnapshots{t, f.frames}, storeOptions{node: node, codec: copyCodec{}, debounce: debounce})
}

// quiet waits until more has moved than before, and then nothing for half a second.
func (f *redisFleet) quiet(before int64) {
	f.b.Helper()
	last, seen := time.Now(), before
	wait(f.b, func() bool {
		if n := f.traffic.bytes.Load(); n != seen {
			last, seen = time.Now(), n
		}
		return seen > before && time.Since(last) > 500*time.Millisecond
	})
}
