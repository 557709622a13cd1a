//go:build unix

package transport_test

import (
	"fmt"
	"testing"

	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// BenchmarkRedisPublish measures one Publish and its receipt, by either kind of transport.
func BenchmarkRedisPublish(b *testing.B) {
	server := redistest.Start(b)
	for kind, open := range map[string]func() (transporttest.Table, error){
		"pubsub": func() (transporttest.Table, error) {
			return transport.NewRedisTransport(transport.RedisOptions{Addr: server.Addr})
		},
		"stream": func() (transporttest.Table, error) { return transport.NewRedisStreamTransport(redisAt(server.Addr)) },
	} {
		for _, size := range []int{100, 10_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/bytes=%d", kind, size), func(b *testing.B) {
				tr, err := open()
				if err != nil {
					b.Fatal(err)
				}
				defer tr.Close()
				frames, err := tr.Subscribe(b.Context(), "topic")
				if err != nil {
					b.Fatal(err)
				}
				frame := make([]byte, size)
				b.ReportAllocs()
				for b.Loop() {
					if err := tr.Publish(b.Context(), "topic", frame); err != nil {
						b.Fatal(err)
					}
					<-frames
				}
			})
		}
	}
}
