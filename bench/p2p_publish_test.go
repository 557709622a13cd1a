//go:build unix

package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podshare/podshare/transport"
)

// BenchmarkP2PPropagate is the time from the sending of a message by one pod until another of so many has it: p50 and p99
// over all messages and receivers, when each is sent as soon as all have the one before, and idle-p50 and idle-p99 with a pause of 100 µs
// between, in which processors fall asleep. What an op does not deliver within a second is lost. impl=tcp is the floor.
func BenchmarkP2PPropagate(b *testing.B) {
	for _, pods := range []int{2, 3, 10, 30} {
		for _, l := range slices.Concat(frameLinks(), storeLinks()) {
			b.Run(fmt.Sprintf("pods=%d/impl=%s", pods, l.name), func(b *testing.B) {
				a := newArrivals(pods)
				a.send = l.open(b, pods, a.receive)
				a.connect(b)
				n := max(3_000/(pods-1), 100)
				if l.slow {
					n /= 3
				}
				a.round(b, n, 0) // buffers have grown
				var back, idle []time.Duration
				a.lost = 0
				for b.Loop() {
					back = append(back, a.round(b, n, 0)...)
					idle = append(idle, a.round(b, n/4, 100*time.Microsecond)...)
				}
				slices.Sort(back)
				slices.Sort(idle)
				b.ReportMetric(float64(back[len(back)/2])/1e3, "p50-us")
				b.ReportMetric(float64(back[len(back)*99/100])/1e3, "p99-us")
				b.ReportMetric(float64(idle[len(idle)/2])/1e3, "idle-p50-us")
				b.ReportMetric(float64(idle[len(idle)*99/100])/1e3, "idle-p99-us")
				b.ReportMetric(float64(a.lost), "lost")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// arrivals times one message after the other, on its way to all pods but the first.
type arrivals struct {
	send func(n uint64) error
	last uint64
	lost int

	began   time.Time
	sent    atomic.Int64  // ns since began
	current atomic.Uint64 // the message that is timed
	left    atomic.Int32  // pods that do not have it
	took    []atomic.Int64
	all     chan struct{} // gets a token when all have it
}

func newArrivals(pods int) *arrivals {
	return &arrivals{began: time.Now(), took: make([]atomic.Int64, pods-1), all: make(chan struct{}, 1)}
}

func (a *arrivals) receive(pod int, n uint64) {
	if n != a.current.Load() {
		return
	}
	now := int64(time.Since(a.began))
	if !a.took[pod-1].CompareAndSwap(0, now-a.sent.Load()) {
		return // repair brought it again
	}
	if a.left.Add(-1) == 0 {
		a.all <- struct{}{}
	}
}

// connect sends until all have got a message.
func (a *arrivals) connect(b *testing.B) {
	b.Helper()
	wait(b, func() bool { return len(a.one(b, 20*time.Millisecond)) == len(a.took) })
}

// round sends so many messages and returns how long they took to each of the pods.
func (a *arrivals) round(b *testing.B, messages int, pause time.Duration) []time.Duration {
	b.Helper()
	took := make([]time.Duration, 0, messages*len(a.took))
	for range messages {
		if pause > 0 {
			time.Sleep(pause)
		}
		one := a.one(b, time.Second)
		a.lost += len(a.took) - len(one)
		took = append(took, one...)
	}
	return took
}

// one sends a message and returns how long it took to those pods that got it in time.
func (a *arrivals) one(b *testing.B, patience time.Duration) (took []time.Duration) {
	b.Helper()
	a.current.Store(0) // what is late does not count
	for i := range a.took {
		a.took[i].Store(0)
	}
	select {
	case <-a.all:
	default:
	}
	a.last++
	a.left.Store(int32(len(a.took)))
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	a.current.Store(a.last)
	a.sent.Store(int64(time.Since(a.began)))
	if err := a.send(a.last); err != nil {
		b.Fatal(err)
	}
	select {
	case <-a.all:
	case <-timeout.C:
	}
	for i := range a.took {
		if d := a.took[i].Load(); d != 0 {
			took = append(took, time.Duration(d))
		}
	}
	return took
}

// BenchmarkP2PThroughput is the rate at which one pod sends messages to all others, no more than 512 ahead of the
// slowest, so that nothing is dropped for want of room: half of what may wait for a P2P peer, where what is being written
// counts until all of it is. What does not come within 200 ms is lost. cpu-ns/delivery is the processor time of both sides, which
// does not depend so much on what else the machine does. impl=tcp writes each message by
// itself, impl=tcp-batch 64 at a time.
func BenchmarkP2PThroughput(b *testing.B) {
	links := append([]link{{name: "tcp-batch", open: openTCP(64)}}, frameLinks()...)
	for _, pods := range []int{2, 3, 10, 30} {
		for _, l := range links {
			b.Run(fmt.Sprintf("pods=%d/impl=%s", pods, l.name), func(b *testing.B) {
				f := newFlow(pods)
				f.send = l.open(b, pods, f.receive)
				f.connect(b)
				blocks := max(200/(pods-1), 6)
				if l.slow {
					blocks = max(8/(pods-1), 1)
				}
				f.run(b, blocks) // buffers have grown
				f.lost = 0
				var took []time.Duration
				cpu := processorTime(b)
				for b.Loop() {
					start := time.Now()
					f.run(b, blocks)
					took = append(took, time.Since(start))
				}
				cpu = processorTime(b) - cpu
				rate := float64(blocks*flowBlock) / median(took).Seconds()
				b.ReportMetric(rate, "messages/s")
				b.ReportMetric(rate*float64(pods-1), "deliveries/s")
				b.ReportMetric(float64(cpu)/float64(len(took)*blocks*flowBlock*(pods-1)), "cpu-ns/delivery")
				b.ReportMetric(float64(f.lost), "lost")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

const (
	flowBlock = 256 // messages between two looks at the receivers
	flowAhead = 2   // blocks that may be on their way
)

// flow sends as fast as the slowest pod receives.
type flow struct {
	send     func(n uint64) error
	sent     int64
	received []atomic.Int64 // by all pods but the first, or lost on the way to them
	lost     int64
	credit   chan struct{} // gets a token when a pod has received another block
}

func newFlow(pods int) *flow {
	return &flow{received: make([]atomic.Int64, pods-1), credit: make(chan struct{}, pods*(flowAhead+1))}
}

func (f *flow) receive(pod int, n uint64) {
	if n == 0 {
		f.received[pod-1].CompareAndSwap(-1, 0)
		return
	}
	if f.received[pod-1].Add(1)%flowBlock == 0 {
		select {
		case f.credit <- struct{}{}:
		default: // the sender has enough to look at
		}
	}
}

// connect sends zeros until each pod has got one.
func (f *flow) connect(b *testing.B) {
	b.Helper()
	for i := range f.received {
		f.received[i].Store(-1)
	}
	wait(b, func() bool {
		for range 64 { // a write of batches
			if err := f.send(0); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
		return f.slowest() == 0
	})
}

func (f *flow) slowest() int64 {
	slowest := f.received[0].Load()
	for i := range f.received {
		slowest = min(slowest, f.received[i].Load())
	}
	return slowest
}

// run sends blocks until all have arrived.
func (f *flow) run(b *testing.B, blocks int) {
	b.Helper()
	for range blocks {
		f.await(f.sent - (flowAhead-1)*flowBlock)
		for range flowBlock {
			f.sent++
			if err := f.send(uint64(f.sent)); err != nil {
				b.Fatal(err)
			}
		}
	}
	f.await(f.sent)
}

// await waits until all pods have received so many, or what is not there is lost.
func (f *flow) await(messages int64) {
	timeout := time.NewTimer(200 * time.Millisecond)
	defer timeout.Stop()
	for f.slowest() < messages {
		select {
		case <-f.credit:
			timeout.Reset(200 * time.Millisecond)
		case <-timeout.C:
			for i := range f.received {
				missing := f.sent - f.received[i].Load()
				f.received[i].Add(missing)
				f.lost += missing
			}
		}
	}
}

// BenchmarkP2PReplicate is throughput of sets over P2P: 20,000 on one store until all others hold the last of each
// key. dropped is what the queues had no room for in all rounds: repair brought it. The naive design would never get that back; its
// queues are deep enough.
func BenchmarkP2PReplicate(b *testing.B) {
	const sets = 20_000
	keys := shuffledKeys(setKeys)
	base := randomPayload(newRand())
	ds := designs[payload]()
	for _, fleet := range []struct{ pods, writers int }{{2, 1}, {2, 64}, {3, 1}, {10, 1}} {
		for _, impl := range []struct {
			name, secret string
			design       design[payload]
			depth        int
		}{{"podshare", "", ds[0], 0}, {"podshare-secret", meshSecret, ds[0], 0}, {"naive", "", ds[1], 1 << 16}} {
			b.Run(fmt.Sprintf("pods=%d/writers=%d/impl=%s", fleet.pods, fleet.writers, impl.name), func(b *testing.B) {
				ts := openMesh(b, fleet.pods, impl.secret, func(o *transport.P2POptions) { o.SendQueueDepth = impl.depth })
				stores := openStoresOver(b, impl.design, ts)
				wait(b, func() bool { // until all have met
					if err := stores[0].Set(context.Background(), keys[0], base); err != nil {
						b.Fatal(err)
					}
					return holdAll(stores[1:], keys[:1], base)
				})
				round, cpu := 0, processorTime(b)
				measureRate(b, sets, func() {
					round++
					last := numbered(base, round<<1|1)
					spread(sets, fleet.writers, func(g, n int) {
						mine := keys[g*setKeys/fleet.writers : (g+1)*setKeys/fleet.writers]
						for i := range n {
							v := numbered(base, round<<1)
							if n-i <= len(mine) { // the last write of its key
								v = last
							}
							if err := stores[0].Set(context.Background(), mine[i%len(mine)], v); err != nil {
								b.Error(err)
							}
						}
					})
					for _, s := range stores[1:] {
						next := 0 // keys before it have arrived
						wait(b, func() bool {
							for ; next < len(keys); next++ {
								if v, _ := s.Get(keys[next]); v != last {
									return false
								}
							}
							return true
						})
					}
				})
				b.ReportMetric(float64(processorTime(b)-cpu)/float64(round*sets), "cpu-ns/set") // of all pods
				var dropped uint64
				for _, t := range ts {
					stats := t.Stats()
					dropped += stats.Dropped
					for _, p := range stats.Peers {
						dropped += p.Dropped
					}
				}
				b.ReportMetric(float64(dropped), "dropped")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func holdAll(stores []store[payload], keys []string, value payload) bool {
	for _, s := range stores {
		for _, k := range keys {
			if v, _ := s.Get(k); v != value {
				return false
			}
		}
	}
	return true
}
