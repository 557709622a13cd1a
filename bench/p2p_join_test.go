//go:build unix

package bench

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkP2PJoin is an empty pod, in a process of its own, that comes to hold what another one holds, over P2P: the
// time from the opening of its transport until it holds all, its processor time, bytes received, its heap against that of what it holds in the end (held-B; live-x is
// the most in use, peak-x the most with garbage), and the longest Get meanwhile, and how many took more than 1 ms, on it and on the
// pod that answers; machine-ms and slow-others are the same of a map that nobody else uses. The entries were written one by one, or by SetMany in batches of
// 10,000. impl=stream is the floor: keys and values over a TCP connection, into a map.
func BenchmarkP2PJoin(b *testing.B) {
	for _, entries := range []int{held, 1_000_000} {
		all := payloads(entries)
		at := fmt.Sprintf("entries=%d/", entries)
		b.Run(at+"impl=stream", func(b *testing.B) {
			addr := serveStream(b, all)
			measureJoin(b, func() (joined, stalls) {
				return join(b, joinTask{From: addr, Stream: true, Entries: entries}), stalls{}
			})
		})
		for _, impl := range []struct {
			name, secret string
			batches      bool
		}{{"podshare", "", false}, {"podshare-secret", meshSecret, false}, {"podshare-batches", "", true}} {
			if entries > held && impl.name != "podshare" {
				continue // they differ by the same as with fewer
			}
			b.Run(at+"impl="+impl.name, func(b *testing.B) {
				t := openMesh(b, 1, impl.secret)[0]
				s := openPodshare[payload](b, t, storeOptions{node: "a", codec: copyCodec{}, debounce: never})
				closeAfter(b, s)
				if impl.batches {
					fill(b, store[payload](s), all)
				} else {
					for k, v := range all {
						if err := s.Set(context.Background(), k, v); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := s.Synced(context.Background()); err != nil {
					b.Fatal(err)
				}
				measureJoin(b, func() (joined, stalls) {
					settle()
					stop := watchStalls(s)
					j := join(b, joinTask{From: t.Addr(), Mesh: impl.secret, Entries: entries})
					answering := stop()
					wait(b, func() bool { return len(t.Stats().Peers) == 0 })
					return j, answering
				})
			})
		}
	}
}

func measureJoin(b *testing.B, op func() (joined, stalls)) {
	b.Helper()
	var took, cpu []time.Duration
	var held, live, peak, bytes []float64
	var joining, answering stalls
	for b.Loop() {
		j, a := op()
		took, cpu, bytes = append(took, j.Took), append(cpu, j.CPU), append(bytes, float64(j.Bytes))
		held = append(held, float64(j.Held))
		live, peak = append(live, float64(j.Live)/float64(j.Held)), append(peak, float64(j.Peak)/float64(j.Held))
		joining.add(j.Stalls)
		answering.add(a)
	}
	b.ReportMetric(float64(median(took).Microseconds())/1e3, "ms")
	b.ReportMetric(float64(median(cpu).Microseconds())/1e3, "cpu-ms")
	b.ReportMetric(median(bytes), "received-B")
	b.ReportMetric(median(held), "held-B")
	b.ReportMetric(median(live), "live-x")
	b.ReportMetric(median(peak), "peak-x")
	for who, s := range map[string]stalls{"joining": joining, "answering": answering} {
		if s.Get > 0 {
			b.ReportMetric(s.Get.Seconds()*1e3, who+"-get-ms")
			b.ReportMetric(s.Machine.Seconds()*1e3, who+"-machine-ms")
			b.ReportMetric(float64(s.SlowGets), who+"-slow-gets")
			b.ReportMetric(float64(s.SlowOthers), who+"-slow-others")
		}
	}
	b.ReportMetric(0, "ns/op") // of another process
}
