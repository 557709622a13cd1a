package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/podshare/podshare"
)

// drainEvery is how many writes pass until the channels are emptied; they hold 256 events by default.
const drainEvery = 256

// BenchmarkWatchFanOut sets a key that n watchers of everything hear of. The channels are emptied outside of
// the measured time: goroutines that read them would have the scheduler measured. impl=channels is the floor: the
// event is offered to as many channels, by a loop.
func BenchmarkWatchFanOut(b *testing.B) {
	value := randomPayload(newRand())
	for _, n := range []int{1, 100, 1_000} {
		b.Run(fmt.Sprintf("watchers=%d/impl=channels", n), func(b *testing.B) {
			channels := make([]chan podshare.Event[payload], n)
			for i := range channels {
				channels[i] = make(chan podshare.Event[payload], drainEvery)
			}
			ev := podshare.Event[payload]{Key: key(1), Value: value, Origin: "a"}
			b.ReportAllocs()
			for i := 1; b.Loop(); i++ {
				for _, c := range channels {
					select {
					case c <- ev:
					default:
						b.Fatal("a channel is full")
					}
				}
				if i%drainEvery == 0 {
					drain(b, channels)
				}
			}
		})
		for _, d := range designs[payload]() {
			b.Run(fmt.Sprintf("watchers=%d/impl=%s", n, d.name), func(b *testing.B) {
				s := d.open(b, newMemory(b), storeOptions{codec: copyCodec{}, debounce: never})
				closeAfter(b, s)
				watchers := make([]<-chan podshare.Event[payload], n)
				for i := range watchers {
					watchers[i] = d.watch(b.Context(), s, "")
				}
				k := key(1)
				b.ReportAllocs()
				for i := 1; b.Loop(); i++ {
					if err := s.Set(context.Background(), k, value); err != nil {
						b.Fatal(err)
					}
					if i%drainEvery == 0 {
						drain(b, watchers)
					}
				}
			})
		}
	}
}

// drain takes out what drainEvery writes have put into each channel.
func drain[C ~chan podshare.Event[payload] | ~<-chan podshare.Event[payload]](b *testing.B, channels []C) { //nolint:thelper // StopTimer comes first: Helper would be measured
	b.StopTimer()
	defer b.StartTimer()
	for _, c := range channels {
		for range drainEvery {
			if ev := <-c; ev.Key == "" {
				b.Fatal("a watcher fell behind")
			}
		}
	}
}

// BenchmarkWatchOthers sets a key while n watchers wait for one other key each.
func BenchmarkWatchOthers(b *testing.B) {
	value := randomPayload(newRand())
	for _, d := range designs[payload]() {
		for _, n := range []int{0, 1_000} {
			b.Run(fmt.Sprintf("watchers=%d/impl=%s", n, d.name), func(b *testing.B) {
				s := d.open(b, newMemory(b), storeOptions{codec: copyCodec{}, debounce: never})
				closeAfter(b, s)
				for i := range n {
					d.watch(b.Context(), s, key(1+i))
				}
				k := key(0)
				b.ReportAllocs()
				for b.Loop() {
					if err := s.Set(context.Background(), k, value); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
