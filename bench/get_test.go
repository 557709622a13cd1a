package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
)

// small is the value of what measures reading and memory: 64 bytes, one cache line, without pointers.
type small [64]byte

// reader is one implementation of a map. read makes n lookups, walking through keys from an offset, and adds up
// the first bytes of the values, which are 1: it returns how many keys were there. Each has a loop of its own, so
// that no indirect call is measured.
type reader struct {
	name  string
	read  func(keys []string, from, n int) int
	write func(key string, v small) // nil: not while others read
}

// BenchmarkGet reads keys in random order, from one and two goroutines, alone and with 10,000 writes a second
// beside. Snapshots are put off and frames go nowhere: reading is what is measured. impl=podshare has keys that
// were set one by one, impl=podshare-batch by SetMany. The floor, impl=map, is not guarded, so nobody can
// write beside it: it is measured without in both cases.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := shuffledKeys(n)
			readers := openReaders(b, keys)
			settle()
			for _, writes := range []int{0, 10_000} {
				for _, goroutines := range []int{1, 2} {
					for _, r := range readers {
						name := fmt.Sprintf("writes=%d/goroutines=%d/impl=%s", writes, goroutines, r.name)
						b.Run(name, func(b *testing.B) {
							if writes > 0 && r.write != nil {
								defer writeBeside(keys, writes, r.write)()
							}
							b.ReportAllocs()
							b.ResetTimer()
							spread(b.N, goroutines, func(g, share int) {
								if r.read(keys, g*n/goroutines, share) != share {
									b.Error("a key is missing")
								}
							})
						})
					}
				}
			}
		})
	}
}

// BenchmarkGetMiss looks for keys that are not there.
func BenchmarkGetMiss(b *testing.B) {
	keys := shuffledKeys(20_000)
	present, absent := keys[:10_000], keys[10_000:]
	for _, r := range openReaders(b, present) {
		b.Run("impl="+r.name, func(b *testing.B) {
			b.ReportAllocs()
			b.ResetTimer()
			if r.read(absent, 0, b.N) != 0 {
				b.Error("a key is there")
			}
		})
	}
}

// openReaders returns all implementations, holding keys. They are closed with the benchmark.
func openReaders(b *testing.B, keys []string) []reader {
	b.Helper()

	plain := make(map[string]small, len(keys))
	var syncMap sync.Map
	xsyncMap := xsync.NewMap[string, small](xsync.WithPresize(len(keys)))
	cache := otter.Must(&otter.Options[string, small]{MaximumSize: 2 * len(keys), InitialCapacity: len(keys)})
	for _, k := range keys {
		v := small{1}
		plain[k] = v
		syncMap.Store(k, v)
		xsyncMap.Store(k, v)
		cache.Set(k, v)
	}
	b.Cleanup(func() { cache.StopAllGoroutines() })

	ctx := context.Background()
	ours := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, ours)
	usual := openNaive[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, usual)
	for _, k := range keys {
		if err := errors.Join(ours.Set(ctx, k, small{1}), usual.Set(ctx, k, small{1})); err != nil {
			b.Fatal(err)
		}
	}
	batched := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, batched)
	fill(b, batched, plain)

	return []reader{
		{"map", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v := plain[keys[i]]
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, nil},
		{"podshare", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v, _ := ours.Get(keys[i])
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { _ = ours.Set(ctx, k, v) }},
		{"podshare-batch", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v, _ := batched.Get(keys[i])
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { _ = batched.Set(ctx, k, v) }},
		{"naive", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v, _ := usual.Get(keys[i])
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { _ = usual.Set(ctx, k, v) }},
		{"sync.Map", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				if v, ok := syncMap.Load(keys[i]); ok {
					found += int(v.(small)[0])
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { syncMap.Store(k, v) }},
		{"xsync", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v, _ := xsyncMap.Load(keys[i])
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { xsyncMap.Store(k, v) }},
		{"otter", func(keys []string, from, n int) (found int) {
			for i := from; n > 0; n-- {
				v, _ := cache.GetIfPresent(keys[i])
				found += int(v[0])
				if i++; i == len(keys) {
					i = 0
				}
			}
			return found
		}, func(k string, v small) { cache.Set(k, v) }},
	}
}

// writeBeside writes to the keys in turn, so many a second, until the returned function is called.
func writeBeside(keys []string, perSecond int, write func(string, small)) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		start, made := time.Now(), 0
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			// A tick that came late is made up for.
			for due := int(time.Since(start).Seconds() * float64(perSecond)); made < due; made++ {
				write(keys[made%len(keys)], small{1})
			}
		}
	}()
	return func() { close(done); <-ended }
}
