package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/podshare/podshare"
)

// session is a value as users have them: 130 bytes as JSON, with strings.
type session struct {
	User    string `json:"user"`
	Pod     string `json:"pod"`
	Address string `json:"address"`
	Since   int64  `json:"since"`
	Admin   bool   `json:"admin"`
}

func newSession(i int) session {
	return session{
		User: fmt.Sprintf("user-%08d", i), Pod: "gateway-7c9f4d5b66-x2x8q", Address: "10.24.117.203:41234",
		Since: 1_700_000_000_000 + int64(i), Admin: i%100 == 0,
	}
}

const setKeys = 10_000

// BenchmarkSet overwrites 10,000 keys with nobody listening, snapshots as by default. impl=marshal is the codec
// alone: what a Set costs on top of it is the difference. The ctx of ctx=request can end, as that of an HTTP
// request can: the caller must be free to leave, which is watched for only if the transport waits.
func BenchmarkSet(b *testing.B) {
	benchmarkSet(b, "codec=json/ctx=background", context.Background(), podshare.JSONCodec{}, newSession)
	rng := newRand()
	base := randomPayload(rng)
	makePayload := func(i int) payload { return numbered(base, i) }
	benchmarkSet(b, "codec=copy/ctx=background", context.Background(), copyCodec{}, makePayload)
	benchmarkSet(b, "codec=copy/ctx=request", b.Context(), copyCodec{}, makePayload)
}

func benchmarkSet[T any](b *testing.B, name string, ctx context.Context, codec podshare.Codec, value func(int) T) { //nolint:revive,thelper // the body of a benchmark, whose name comes first
	keys := shuffledKeys(setKeys)
	values := make([]T, len(keys))
	for i := range values {
		values[i] = value(i)
	}
	b.Run(name+"/impl=marshal", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := codec.Marshal(values[i%setKeys]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, d := range designs[T]() {
		b.Run(name+"/impl="+d.name, func(b *testing.B) {
			s := d.open(b, newMemory(b), storeOptions{codec: codec})
			closeAfter(b, s)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := s.Set(ctx, keys[i%setKeys], values[i%setKeys]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSetMany sets 1,000 keys in one call.
func BenchmarkSetMany(b *testing.B) {
	kvs := payloads(1_000)
	for _, d := range designs[payload]() {
		b.Run("keys=1000/impl="+d.name, func(b *testing.B) {
			s := d.open(b, newMemory(b), storeOptions{codec: copyCodec{}})
			closeAfter(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.SetMany(context.Background(), kvs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*len(kvs)), "ns/key")
		})
	}
}

// BenchmarkSetParallel sets from several goroutines, each with keys of its own.
func BenchmarkSetParallel(b *testing.B) {
	keys := shuffledKeys(setKeys)
	value := randomPayload(newRand())
	for _, goroutines := range []int{1, 2, 64} {
		for _, d := range designs[payload]() {
			b.Run(fmt.Sprintf("goroutines=%d/impl=%s", goroutines, d.name), func(b *testing.B) {
				s := d.open(b, newMemory(b), storeOptions{codec: copyCodec{}})
				closeAfter(b, s)
				b.ReportAllocs()
				b.ResetTimer()
				spread(b.N, goroutines, func(g, n int) {
					mine := keys[g*setKeys/goroutines : (g+1)*setKeys/goroutines]
					for i := range n {
						if err := s.Set(context.Background(), mine[i%len(mine)], value); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
