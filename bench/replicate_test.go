package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkReplicate is throughput to one peer: 20,000 sets on one store until a second one, over memory, holds
// the last of each key. It goes by rounds, for the naive design loses what its peer's queue does not hold.
func BenchmarkReplicate(b *testing.B) {
	const sets = 20_000
	keys := shuffledKeys(setKeys)
	base := randomPayload(newRand())
	for _, writers := range []int{1, 64} {
		for _, d := range designs[payload]() {
			b.Run(fmt.Sprintf("writers=%d/impl=%s", writers, d.name), func(b *testing.B) {
				memory := newMemory(b)
				from := d.open(b, memory, storeOptions{node: "a", codec: copyCodec{}})
				closeAfter(b, from)
				to := d.open(b, memory, storeOptions{node: "b", codec: copyCodec{}})
				closeAfter(b, to)
				b.ReportAllocs()
				for round := 1; b.Loop(); round++ {
					spread(sets, writers, func(g, n int) {
						mine := keys[g*setKeys/writers : (g+1)*setKeys/writers]
						for i := range n {
							left := n - i // so that the last write of a key is known by its number
							v := numbered(base, round<<1)
							if left <= len(mine) {
								v = numbered(base, round<<1|1)
							}
							if err := from.Set(context.Background(), mine[i%len(mine)], v); err != nil {
								b.Error(err)
							}
						}
					})
					last := numbered(base, round<<1|1)
					next := 0 // keys before it have arrived
					wait(b, func() bool {
						for ; next < len(keys); next++ {
							if v, _ := to.Get(keys[next]); v != last {
								return false
							}
						}
						return true
					})
				}
				b.ReportMetric(float64(b.N)*sets/b.Elapsed().Seconds(), "sets/s")
			})
		}
	}
}

// BenchmarkPropagate is the time from a Set until the event comes out of a watcher of a second store, over
// memory, one write at a time. impl=channel is the floor: one goroutine wakes another, which wakes a third.
func BenchmarkPropagate(b *testing.B) {
	value := randomPayload(newRand())
	b.Run("impl=channel", func(b *testing.B) {
		in, out := make(chan payload, 1), make(chan payload, 1)
		go func() {
			defer close(out)
			for v := range in {
				out <- v
			}
		}()
		defer close(in)
		measurePropagation(b, func() {
			in <- value
			<-out
		})
	})
	for _, d := range designs[payload]() {
		b.Run("impl="+d.name, func(b *testing.B) {
			memory := newMemory(b)
			from := d.open(b, memory, storeOptions{node: "a", codec: copyCodec{}})
			closeAfter(b, from)
			to := d.open(b, memory, storeOptions{node: "b", codec: copyCodec{}})
			closeAfter(b, to)
			events := d.watch(b.Context(), to, "")
			k := key(1)
			measurePropagation(b, func() {
				if err := from.Set(context.Background(), k, value); err != nil {
					b.Fatal(err)
				}
				<-events
			})
		})
	}
}

// measurePropagation reports the median and the 99th percentile of op.
func measurePropagation(b *testing.B, op func()) {
	b.Helper()
	b.ReportAllocs()
	took := make([]time.Duration, 0, 1<<20)
	for b.Loop() {
		start := time.Now()
		op()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}
