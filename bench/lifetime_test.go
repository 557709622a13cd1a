package bench

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/podshare/podshare"
)

// passing is how many keys expire and lapse. With 1,000,000 a run takes about a minute.
var passing = flag.Int("passing", 100_000, "keys that expire and lapse")

// BenchmarkGetPassing reads keys that stay, that have a deadline, and that are owned: what looking at the clock costs.
func BenchmarkGetPassing(b *testing.B) {
	keys := shuffledKeys(10_000)
	for _, kind := range []string{"stays", "deadline", "owned"} {
		b.Run("key="+kind, func(b *testing.B) {
			s := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
			closeAfter(b, s)
			for _, k := range keys {
				if err := setPassing(s, kind, k); err != nil {
					b.Fatal(err)
				}
			}
			settle()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := s.Get(keys[i]); !ok {
					b.Fatal("a key is missing")
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkExpire gives many keys a deadline each, and waits until a watcher was told of the end of all: what they take
// on the heap, and how long the telling takes from the last deadline on.
func BenchmarkExpire(b *testing.B) {
	n := *passing
	b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
		for b.Loop() {
			before := heap()
			s := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
			due := time.Now().Add(time.Second + time.Duration(n)*40*time.Microsecond) // until all are set
			for i := range n {
				if err := s.SetTTL(context.Background(), key(i), small{1}, time.Until(due)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "B/entry")
			if time.Now().After(due) {
				b.Skip("the machine is too busy: some have expired")
			}
			awaitExpiries(b, s, n)
			b.ReportMetric(float64(time.Since(due).Milliseconds()), "ms-late")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOwnerDies has a pod with many owned keys fall silent: how long after the lease a watcher of another pod was
// told of all, and what was sent meanwhile.
func BenchmarkOwnerDies(b *testing.B) {
	const lease = 10 * time.Second // the default
	n := *passing
	b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
		for b.Loop() {
			memory := newMemory(b)
			survives, dies := &meter{Transport: memory, noSnapshot: true}, &meter{Transport: memory, noSnapshot: true}
			s := openPodshare[small](b, survives, storeOptions{node: "survives", codec: copyCodec{}, debounce: never})
			o := openPodshare[small](b, dies, storeOptions{node: "dies", codec: copyCodec{}, debounce: never})
			for i := range n {
				if err := setPassing(o, "owned", key(i)); err != nil {
					b.Fatal(err)
				}
			}
			wait(b, func() bool { return s.Len() == n })
			dies.cut.Store(true)
			silent := time.Now()
			sent := survives.bytes.Load()
			awaitExpiries(b, s, n)
			b.ReportMetric(float64((time.Since(silent) - lease).Milliseconds()), "ms-after-lease")
			b.ReportMetric(float64(survives.bytes.Load()-sent), "B-sent")
			for _, s := range []*podshare.Store[small]{s, o} {
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func setPassing(s *podshare.Store[small], kind, key string) error {
	switch kind {
	case "deadline":
		return s.SetTTL(context.Background(), key, small{1}, time.Hour)
	case "owned":
		return s.SetOwned(context.Background(), key, small{1})
	default:
		return s.Set(context.Background(), key, small{1})
	}
}

// awaitExpiries returns when a watcher was told that n keys are over.
func awaitExpiries(b *testing.B, s *podshare.Store[small], n int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for ev := range s.Watch(ctx, podshare.WatchConflate()) {
		if ev.Kind != podshare.EventExpire {
			continue
		}
		if n--; n == 0 {
			return
		}
	}
	b.Fatalf("%d expiries were not told", n)
}
