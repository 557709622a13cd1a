//go:build unix

package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// BenchmarkRedisReplicate is throughput to one peer through Redis: 5,000 sets of one writer, or 800 of each of 64, until
// a second store holds them all. impl=publish is the floor: go-redis that publishes the frame of one Set as often, until a subscriber has
// got them all.
func BenchmarkRedisReplicate(b *testing.B) {
	server := startRedis(b)
	base := randomPayload(newRand())
	for _, writers := range []int{1, 64} {
		sets := map[int]int{1: 5_000, 64: 64 * 800}[writers]
		keys := shuffledKeys(sets)
		b.Run(fmt.Sprintf("writers=%d/impl=podshare", writers), func(b *testing.B) {
			from, to := redisPair(b, server.Addr)
			round := 0
			measureRate(b, sets, func() {
				round++
				value := numbered(base, round)
				spread(sets, writers, func(g, n int) {
					first := g * n
					for _, key := range keys[first : first+n] {
						if err := from.Set(context.Background(), key, value); err != nil {
							b.Error(err)
						}
					}
				})
				next := 0 // keys before it have arrived
				wait(b, func() bool {
					for ; next < len(keys); next++ {
						if v, _ := to.Get(keys[next]); v != value {
							return false
						}
					}
					return true
				})
			})
		})
		b.Run(fmt.Sprintf("writers=%d/impl=publish", writers), func(b *testing.B) {
			client, subscription := redisSubscriber(b, server)
			var received atomic.Int64
			go func() {
				for range subscription.Channel(redis.WithChannelSize(sets)) {
					received.Add(1)
				}
			}()
			frame := frameOfOneSet(b)
			measureRate(b, sets, func() {
				want := received.Load() + int64(sets)
				spread(sets, writers, func(_, n int) {
					for range n {
						if err := client.Publish(context.Background(), topic, frame).Err(); err != nil {
							b.Error(err)
						}
					}
				})
				wait(b, func() bool { return received.Load() == want })
			})
			b.ReportMetric(float64(len(frame)), "frame-B")
		})
	}
}

// measureRate reports the median rate of an op that does so many.
func measureRate(b *testing.B, sets int, op func()) {
	b.Helper()
	op() // connections are made
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		op()
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64(sets)/median(took).Seconds(), "sets/s")
}

// BenchmarkRedisPropagate is the time from a Set until the event comes out of a watcher of a second store, through
// Redis. Each writer waits for the event of a set before its next one. impl=publish is the floor, as above.
func BenchmarkRedisPropagate(b *testing.B) {
	server := startRedis(b)
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d/impl=podshare", writers), func(b *testing.B) {
			from, to := redisPair(b, server.Addr)
			value := randomPayload(newRand())
			back := newReturns(writers)
			number := map[string]int{} // of a writer, by its key
			for i := range writers {
				number[key(i)] = i
			}
			events := to.Watch(b.Context())
			go func() {
				for ev := range events {
					back[number[ev.Key]] <- struct{}{}
				}
			}()
			measureReturns(b, back, func(writer int) error { return from.Set(context.Background(), key(writer), value) })
		})
		b.Run(fmt.Sprintf("writers=%d/impl=publish", writers), func(b *testing.B) {
			client, subscription := redisSubscriber(b, server)
			frame := frameOfOneSet(b)
			back := newReturns(writers)
			tail := len(frame) - 8 // where the number of the writer is
			go func() {
				for msg := range subscription.Channel() {
					back[binary.LittleEndian.Uint64([]byte(msg.Payload[tail:]))] <- struct{}{}
				}
			}()
			measureReturns(b, back, func(writer int) error {
				msg := binary.LittleEndian.AppendUint64(slices.Clip(frame[:tail]), uint64(writer))
				return client.Publish(context.Background(), topic, msg).Err()
			})
		})
	}
}

// newReturns has a channel for each writer, which never waits for what one set causes.
func newReturns(writers int) []chan struct{} {
	back := make([]chan struct{}, writers)
	for i := range back {
		back[i] = make(chan struct{}, 1)
	}
	return back
}

// measureReturns reports the median and the 99th percentile of the time from send to the return.
func measureReturns(b *testing.B, back []chan struct{}, send func(writer int) error) {
	b.Helper()
	const sends = 3_000 // in one op, of all writers together
	writers := len(back)
	took := make([][]time.Duration, writers)
	round := func() {
		spread(sends, writers, func(g, n int) {
			for range n {
				start := time.Now()
				if err := send(g); err != nil {
					b.Error(err)
					return
				}
				<-back[g]
				took[g] = append(took[g], time.Since(start))
			}
		})
	}
	round() // connections are made
	clear(took)
	for b.Loop() {
		round()
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2])/1e3, "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100])/1e3, "p99-us")
}

// redisPair opens two stores that store no snapshot while they are measured.
func redisPair(b *testing.B, addr string) (from, to *podshare.Store[payload]) {
	b.Helper()
	open := func(node string) *podshare.Store[payload] {
		s := openPodshare[payload](b, newRedis(b, transport.RedisOptions{Addr: addr, Prefix: b.Name()}),
			storeOptions{node: node, codec: copyCodec{}, debounce: never})
		closeAfter(b, s)
		return s
	}
	return open("a"), open("b")
}

func redisSubscriber(b *testing.B, server *redistest.Server) (*redis.Client, *redis.PubSub) {
	b.Helper()
	client := server.Client()
	subscription := client.Subscribe(b.Context(), topic)
	b.Cleanup(func() { _ = subscription.Close() })
	if _, err := subscription.Receive(b.Context()); err != nil {
		b.Fatal(err)
	}
	return client, subscription
}

// frameOfOneSet is what a store publishes for one Set of these benchmarks.
func frameOfOneSet(b *testing.B) []byte {
	b.Helper()
	memory := newMemory(b)
	frames, err := memory.Subscribe(b.Context(), topic)
	if err != nil {
		b.Fatal(err)
	}
	s := openPodshare[payload](b, memory, storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, s)
	if err := s.Set(context.Background(), key(1), randomPayload(newRand())); err != nil {
		b.Fatal(err)
	}
	for frame := range frames {
		if len(frame) >= len(payload{}) { // not a heartbeat
			return slices.Clone(frame)
		}
	}
	b.Fatal("nothing was published")
	return nil
}

func median[T int64 | float64 | time.Duration](of []T) T {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
