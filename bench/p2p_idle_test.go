//go:build unix

package bench

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// BenchmarkP2PIdle is what one pod of a mesh of 100 costs when nobody writes, connections and the kernel's part
// included: all 100 are in this process, for as long as a heartbeat of each takes. A connection has two ends, so a pod has 99 of
// 9,900.
func BenchmarkP2PIdle(b *testing.B) {
	const pods = 100
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 110*pods {
		b.Skip("too few files may be open")
	}
	goroutines, memory := runtime.NumGoroutine(), inUse()
	ts := openMesh(b, pods, "")
	stores := openStoresOver(b, designs[payload]()[0], ts)
	fill(b, stores[0], payloads(100))
	for _, s := range stores {
		wait(b, func() bool { _, ok := s.Get(key(99)); return ok })
	}
	received := func() (n uint64) {
		for _, t := range ts {
			for _, p := range t.Stats().Peers {
				n += p.BytesReceived
			}
		}
		return n
	}
	for last := uint64(0); received() > last+pods*idleLimit; time.Sleep(time.Second) { // until all know each other
		last = received()
	}
	goroutines, memory = runtime.NumGoroutine()-goroutines, inUse()-memory
	const observed = 8 * time.Second // a pod of 100 sends a heartbeat every 7
	bytes, cpu, spent := received(), processorTime(b), time.Duration(0)
	for b.Loop() {
		time.Sleep(observed)
		spent += observed
	}
	b.ReportMetric(float64(goroutines)/pods, "goroutines")
	b.ReportMetric(float64(memory)/pods, "memory-B")
	b.ReportMetric(float64(received()-bytes)/pods/spent.Seconds(), "received-B/s")
	b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/pods/spent.Seconds(), "cpu-us/s")
	b.ReportMetric(0, "ns/op")
}

// inUse is the heap after a collection, and the stacks.
func inUse() int64 {
	n := heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return n + int64(m.StackInuse)
}
