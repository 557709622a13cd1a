package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/podshare/podshare"
)

// held is how many entries the stores of the benchmarks about snapshots, joins and repairs hold.
const held = 100_000

// BenchmarkSnapshot is what it takes to bring the stored snapshot up to date when some of 100,000 entries
// changed: bytes handed to the transport and read back from it, and the time from the first write until all is stored,
// the debounce of 20 ms included. full-B is the size of a snapshot of everything. podshare's is in rows.
func BenchmarkSnapshot(b *testing.B) {
	const debounce = 20 * time.Millisecond
	all := payloads(held)
	for _, changed := range []int{10, held} {
		for _, d := range designs[payload]() {
			b.Run(fmt.Sprintf("changed=%d/impl=%s", changed, d.name), func(b *testing.B) {
				memory := newMemory(b)
				m := &meter{Transport: memory}
				rows := &rowMeter{m, memory}
				var t podshare.Transport = m
				if d.name == "podshare" {
					t = rows
				}
				s := d.open(b, t, storeOptions{codec: copyCodec{}, debounce: debounce})
				closeAfter(b, s)
				fill(b, s, all)
				quiet(b, m, debounce)
				rng := newRand()
				stored, fetched := m.stored.Load(), m.fetched.Load()
				var took time.Duration
				for b.Loop() {
					some := make(map[string]payload, changed)
					for i := range changed {
						some[key(i)] = randomPayload(rng)
					}
					start, before := time.Now(), m.snapshots.Load()
					fill(b, s, some)
					wait(b, func() bool { return m.snapshots.Load() > before })
					took += quiet(b, m, debounce).Sub(start)
				}
				b.ReportMetric(float64(m.stored.Load()-stored)/float64(b.N), "stored-B/op")
				b.ReportMetric(float64(m.fetched.Load()-fetched)/float64(b.N), "fetched-B/op")
				whole, err := m.Transport.FetchSnapshot(context.Background(), topic)
				if err != nil {
					b.Fatal(err)
				}
				full, err := rows.full(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(int64(len(whole))+full), "full-B")
				b.ReportMetric(float64(took.Microseconds())/1e3/float64(b.N), "ms/op")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// quiet waits until no snapshot was stored for half a second, and returns when the last one was.
func quiet(b testing.TB, m *meter, debounce time.Duration) time.Time {
	b.Helper()
	last, seen := time.Now(), m.snapshots.Load()
	wait(b, func() bool {
		if n := m.snapshots.Load(); n != seen || n == 0 {
			last, seen = time.Now(), n
		}
		return time.Since(last) > debounce+500*time.Millisecond
	})
	return last
}

// BenchmarkJoin is an empty pod that comes to hold 100,000 entries: from the stored snapshot, or, where there
// is none, from a peer, which the naive design cannot do.
func BenchmarkJoin(b *testing.B) {
	all := payloads(held)
	for _, from := range []string{"snapshot", "peer"} {
		for _, d := range designs[payload]() {
			if from == "peer" && d.name == "naive" {
				continue
			}
			b.Run(fmt.Sprintf("from=%s/impl=%s", from, d.name), func(b *testing.B) {
				const debounce = 20 * time.Millisecond
				memory := newMemory(b)
				old := &meter{Transport: memory, noSnapshot: from == "peer"}
				s := d.open(b, old, storeOptions{node: "a", codec: copyCodec{}, debounce: debounce})
				closeAfter(b, s)
				fill(b, s, all)
				quiet(b, old, debounce)
				bytes := old.bytes.Load()
				var fetched int64
				for b.Loop() {
					m := &meter{Transport: memory, noSnapshot: from == "peer"}
					joined := d.open(b, m, storeOptions{node: "b", codec: copyCodec{}, debounce: never})
					wait(b, func() bool { return d.len(joined) == held })
					b.StopTimer()
					fetched += m.fetched.Load()
					if err := joined.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				received := old.bytes.Load() - bytes + fetched
				b.ReportMetric(float64(received)/float64(b.N), "received-B/op")
				b.ReportMetric(float64(received)/float64(b.N)/held, "B/entry")
			})
		}
	}
}

// BenchmarkRepair makes two stores of 100,000 entries equal again that differ in some: one was cut off while
// the other wrote. Bytes and frames are counted on both ways, beside the bytes of the keys and values that differ
// (payload-B). There is no stored snapshot for podshare to take them from; the naive design has nothing else.
func BenchmarkRepair(b *testing.B) {
	const debounce = 20 * time.Millisecond
	all := payloads(held)
	for _, differ := range []int{1, 100, 10_000} {
		for _, d := range designs[payload]() {
			b.Run(fmt.Sprintf("differ=%d/impl=%s", differ, d.name), func(b *testing.B) {
				ours := d.name == "podshare"
				memory := newMemory(b)
				ma := &meter{Transport: memory, noSnapshot: ours}
				mb := &meter{Transport: memory, noSnapshot: ours}
				from := d.open(b, ma, storeOptions{node: "a", codec: copyCodec{}, debounce: debounce})
				closeAfter(b, from)
				to := d.open(b, mb, storeOptions{node: "b", codec: copyCodec{}, debounce: debounce})
				closeAfter(b, to)
				fill(b, from, all)
				wait(b, func() bool { return d.len(to) == held })
				quiet(b, ma, debounce)
				rng := newRand()
				var sent, asked, frames int64
				for b.Loop() {
					b.StopTimer()
					ma.cut.Store(true)
					var probe payload
					for i := range differ {
						probe = randomPayload(rng)
						if err := from.Set(context.Background(), key(i), probe); err != nil {
							b.Fatal(err)
						}
					}
					if !ours {
						quiet(b, ma, debounce)
					}
					ma.cut.Store(false)
					a0, b0, f0, q0 := ma.bytes.Load(), mb.bytes.Load()+mb.fetched.Load(), ma.frames.Load()+mb.frames.Load(), mb.fetched.Load()
					b.StartTimer()
					wait(b, func() bool {
						if err := d.catchUp(context.Background(), to); err != nil {
							b.Fatal(err)
						}
						v, _ := to.Get(key(differ - 1))
						return v == probe
					})
					b.StopTimer()
					fetched := mb.fetched.Load() - q0
					sent += ma.bytes.Load() - a0 + fetched
					asked += mb.bytes.Load() + mb.fetched.Load() - b0 - fetched
					frames += ma.frames.Load() + mb.frames.Load() - f0
					b.StartTimer()
				}
				n := float64(b.N)
				b.ReportMetric(float64(sent)/n, "answer-B/op")
				b.ReportMetric(float64(asked)/n, "request-B/op")
				b.ReportMetric(float64(frames)/n, "frames/op")
				b.ReportMetric(float64(differ*(len(key(0))+len(payload{}))), "payload-B/op")
			})
		}
	}
}
