package bench

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkAll walks over all keys and values, alone and with 10,000 writes a second beside. The floor, impl=map, is
// the builtin map, which nobody may write meanwhile.
func BenchmarkAll(b *testing.B) {
	benchmarkLoop(b, "")
}

// BenchmarkPrefix walks over a tenth of the keys, those with a prefix.
func BenchmarkPrefix(b *testing.B) {
	benchmarkLoop(b, "user:00000000000")
}

func benchmarkLoop(b *testing.B, prefix string) {
	b.Helper()
	for _, n := range []int{1_000, 100_000} {
		keys, plain := shuffledKeys(n), make(map[string]small, n)
		for _, k := range keys {
			plain[k] = small{1}
		}
		b.Run(fmt.Sprintf("keys=%d/writes=0/impl=map", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				for key, v := range plain {
					if strings.HasPrefix(key, prefix) {
						found += int(v[0])
					}
				}
				if found == 0 {
					b.Error("no keys")
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*n), "ns/key")
		})
		for _, writes := range []int{0, 10_000} {
			b.Run(fmt.Sprintf("keys=%d/writes=%d/impl=podshare", n, writes), func(b *testing.B) {
				s := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
				closeAfter(b, s)
				for _, k := range keys {
					if err := s.Set(b.Context(), k, small{1}); err != nil {
						b.Fatal(err)
					}
				}
				settle()
				if writes > 0 {
					defer writeBeside(keys, writes, func(k string, v small) { _ = s.Set(b.Context(), k, v) })()
				}
				b.ReportAllocs()
				for b.Loop() {
					found := 0
					for _, v := range s.Prefix(prefix) {
						found += int(v[0])
					}
					if found == 0 {
						b.Error("no keys")
					}
				}
				b.ReportMetric(float64(b.Elapsed())/float64(b.N*n), "ns/key")
			})
		}
	}
}

// BenchmarkSetBesideLoops overwrites keys while so many loops stand still, each at its first key: what an open loop
// costs the writers.
func BenchmarkSetBesideLoops(b *testing.B) {
	keys, value := shuffledKeys(setKeys), randomPayload(newRand())
	for _, loops := range []int{0, 1, 10} {
		b.Run(fmt.Sprintf("loops=%d", loops), func(b *testing.B) {
			s := openPodshare[payload](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
			closeAfter(b, s)
			for _, k := range keys {
				if err := s.Set(b.Context(), k, value); err != nil {
					b.Fatal(err)
				}
			}
			within(loops, func(body func()) {
				for range s.All() {
					body()
					return
				}
			}, func() {
				settle()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := s.Set(b.Context(), keys[i%setKeys], value); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// within calls do inside so many nested calls of loop.
func within(loops int, loop func(body func()), do func()) {
	if loops == 0 {
		do()
		return
	}
	loop(func() { within(loops-1, loop, do) })
}
