package bench

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// BenchmarkMemory holds 1,000,000 entries with keys of 20 bytes and values of 64 bytes without pointers, and
// reports what the heap grew by for each, keys included, and the processor time of a forced collection. Snapshots
// are stored, and thrown away by the transport.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	b.Run("entries=1000000/impl=map", func(b *testing.B) {
		measureHeap(b, n, func() any {
			m := map[string]small{}
			for i := range n {
				m[key(i)] = small{1}
			}
			return m
		})
	})
	for _, d := range designs[small]() {
		b.Run("entries=1000000/impl="+d.name, func(b *testing.B) {
			const debounce = 5 * time.Second // one snapshot is stored, after all has been set
			measureHeap(b, n, func() any {
				m := nowhere(b)
				s := d.open(b, m, storeOptions{codec: copyCodec{}, debounce: debounce})
				closeAfter(b, s)
				start := time.Now()
				for i := range n {
					if err := s.Set(context.Background(), key(i), small{1}); err != nil {
						b.Fatal(err)
					}
				}
				wait(b, func() bool { return m.snapshots.Load() > 0 })
				if time.Since(start) > 2*debounce {
					b.Skip("the machine is too busy: another snapshot may be under way")
				}
				return s
			})
		})
	}
}

// measureHeap reports what of n entries stays on the heap, and what collecting it takes.
func measureHeap(b *testing.B, n int, build func() any) {
	b.Helper()
	before := heap()
	held := build()
	grown := heap() - before
	cpu := collectorSeconds()
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric((collectorSeconds()-cpu)*1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(grown)/float64(n), "B/entry")
	runtime.KeepAlive(held)
}

// heap returns the live bytes of the heap.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools of the first held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// collectorSeconds returns the processor time that the collector has used.
func collectorSeconds() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64()
}
