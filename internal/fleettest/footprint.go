package fleettest

import (
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// heapRoom is how much the heap may grow under a fleet: what it holds takes some MiB.
const heapRoom = 64 << 20

// Footprint is what this process uses.
type Footprint struct {
	Goroutines int
	Heap       uint64
}

// Measure returns the footprint of this moment, without garbage.
func Measure() Footprint {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Footprint{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc}
}

// CheckHeap fails the test if a fleet takes much more memory than there was in use before it.
func (f Footprint) CheckHeap(t testing.TB) {
	t.Helper()
	if heap := Measure().Heap; heap > f.Heap+heapRoom {
		t.Fatalf("the heap has %d bytes, %d before the fleet", heap, f.Heap)
	}
}

// CheckGone fails the test unless closed pods left neither goroutines nor memory.
func (f Footprint) CheckGone(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for runtime.NumGoroutine() > f.Goroutines {
		if time.Now().After(deadline) {
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), f.Goroutines)
		}
		runtime.Gosched()
	}
	f.CheckHeap(t)
}
