package transport_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/podshare/podshare/transport"
)

// BenchmarkMemoryPublish measures one Publish and its receipt by every subscriber, on one goroutine: with
// readers of their own the scheduler would be measured.
func BenchmarkMemoryPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 10, 100} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			m := transport.NewMemoryTransport()
			defer m.Close()
			var subs []<-chan []byte
			for range subscribers {
				sub, err := m.Subscribe(b.Context(), "topic")
				if err != nil {
					b.Fatal(err)
				}
				subs = append(subs, sub)
			}
			ctx, frame := b.Context(), make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Publish(ctx, "topic", frame); err != nil {
					b.Fatal(err)
				}
				for _, sub := range subs {
					<-sub
				}
			}
		})
	}
}

// BenchmarkMemoryPublishToFullQueue measures Publish to a subscriber that does not read.
func BenchmarkMemoryPublishToFullQueue(b *testing.B) {
	m := transport.NewMemoryTransport(transport.WithMemoryQueue(1))
	defer m.Close()
	if _, err := m.Subscribe(b.Context(), "topic"); err != nil {
		b.Fatal(err)
	}
	ctx, frame := b.Context(), make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Publish(ctx, "topic", frame)
	}
}

// BenchmarkMemoryPublishParallel measures publishers that have a topic each.
func BenchmarkMemoryPublishParallel(b *testing.B) {
	m := transport.NewMemoryTransport()
	defer m.Close()
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		topic := fmt.Sprint("topic ", n.Add(1))
		sub, err := m.Subscribe(b.Context(), topic)
		if err != nil {
			b.Error(err)
			return
		}
		ctx, frame := b.Context(), make([]byte, 100)
		for pb.Next() {
			_ = m.Publish(ctx, topic, frame)
			<-sub
		}
	})
}

// BenchmarkMemorySubscribe measures opening and closing the only subscription of a topic among 1000 others.
func BenchmarkMemorySubscribe(b *testing.B) {
	m := transport.NewMemoryTransport(transport.WithMemoryQueue(1))
	defer m.Close()
	for i := range 1000 {
		if _, err := m.Subscribe(b.Context(), fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		sub, err := m.Subscribe(ctx, "topic")
		if err != nil {
			b.Fatal(err)
		}
		cancel()
		<-sub
	}
}
