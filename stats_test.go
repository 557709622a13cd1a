package podshare_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// statsWorld is what a case of the table of Stats acts in: a, the store that is looked at, b, another, and x.
type statsWorld struct {
	t    *testing.T
	net  *transporttest.Network
	a, b *podshare.Store[string]
	x    *stranger
	hang chan struct{} // the error handler waits for it, unless it is nil
}

// publish sends frames of x to a and b.
func (w *statsWorld) publish(frames ...[]byte) {
	w.t.Helper()
	for _, frame := range frames {
		publish(w.t, w.net.Pod("x"), frame)
	}
	synctest.Wait()
}

// moving are the fields that time moves, or the traffic of any action.
var moving = []string{"Frames", "FrameBytes", "Publishes", "PublishedBytes", "Heartbeats", "Snapshots", "SnapshotBytes", "Delay"}

const (
	anyhow = -1_000_001
	maybe  = -1_000_002
)

// statsCases are one action each, before which some may happen, and the fields that it moves, and by how much. Only these
// move, but for those in moving that are not named. anyhow: by any amount; maybe: if it so happens.
var statsCases = map[string]struct {
	before, do func(w *statsWorld)
	moves      map[string]int
}{
	"nothing": {do: func(*statsWorld) {}},
	"set": {
		do:    func(w *statsWorld) { _ = w.a.Set(w.t.Context(), "k", "v") },
		moves: map[string]int{"WritesLocal": 1, "Keys": 1, "Publishes": 1, "PublishedBytes": anyhow},
	},
	"a batch": {
		do:    func(w *statsWorld) { _ = w.a.SetMany(w.t.Context(), numbered(5, "v")) },
		moves: map[string]int{"WritesLocal": 5, "Keys": 5, "Publishes": 1, "PublishedBytes": anyhow},
	},
	"delete": {
		before: func(w *statsWorld) { _ = w.a.Set(w.t.Context(), "k", "v") },
		do:     func(w *statsWorld) { _ = w.a.Delete(w.t.Context(), "k") },
		moves:  map[string]int{"WritesLocal": 1, "Keys": -1, "Tombstones": 1},
	},
	"a tombstone forgotten early": {
		before: func(w *statsWorld) {
			for i := range 3 { // the limit
				_ = w.a.Set(w.t.Context(), fmt.Sprint(i), "v")
				_ = w.a.Delete(w.t.Context(), fmt.Sprint(i))
			}
			_ = w.a.Set(w.t.Context(), "k", "v")
		},
		do:    func(w *statsWorld) { _ = w.a.Delete(w.t.Context(), "k") },
		moves: map[string]int{"WritesLocal": 1, "Keys": -1, "TombstonesGCed": 1, "TombstonesForced": 1},
	},
	"a write of another pod": {
		do:    func(w *statsWorld) { _ = w.b.Set(w.t.Context(), "k", "v") },
		moves: map[string]int{"WritesApplied": 1, "Keys": 1, "Frames": 1, "FrameBytes": anyhow, "Delay": anyhow},
	},
	"a write that lost": {
		before: func(w *statsWorld) { w.x.ahead = -time.Minute; _ = w.a.Set(w.t.Context(), "k", "v") },
		do:     func(w *statsWorld) { w.publish(w.x.data(w.x.set("k", `"v"`))) },
		moves:  map[string]int{"WritesRejected": 1, "Peers": 1, "Origins": 1},
	},
	"a write seen before": {
		before: func(w *statsWorld) { w.publish(w.x.data(w.x.set("k", `"v"`))) },
		do:     func(w *statsWorld) { w.x.seq--; w.publish(w.x.data(w.x.set("k", `"v"`))) },
		moves:  map[string]int{"WritesDuplicate": 1},
	},
	"a write that is refused": {
		do:    func(w *statsWorld) { w.publish(w.x.data(w.x.set("k", `"`+strings.Repeat("v", 2000)+`"`))) },
		moves: map[string]int{"WritesRefused": 1, "Errors": 1, "Peers": 1, "Origins": 1},
	},
	"many reads": {
		do: func(w *statsWorld) {
			for i := range 100_000 {
				w.a.Get(fmt.Sprint(i))
			}
		},
		moves: map[string]int{"Reads": anyhow},
	},
	"a watcher": {
		do:    func(w *statsWorld) { w.a.Watch(w.t.Context()) },
		moves: map[string]int{"WatchersActive": 1},
	},
	"an event": {
		before: func(w *statsWorld) { w.a.Watch(w.t.Context()) },
		do:     func(w *statsWorld) { _ = w.a.Set(w.t.Context(), "k", "v") },
		moves:  map[string]int{"EventsDispatched": 1, "WritesLocal": 1, "Keys": 1},
	},
	"a watcher that lags": {
		before: func(w *statsWorld) {
			w.a.Watch(w.t.Context())
			_ = w.a.Set(w.t.Context(), "k", "v")
			_ = w.a.Set(w.t.Context(), "k", "v")
		},
		do:    func(w *statsWorld) { _ = w.a.SetMany(w.t.Context(), numbered(5, "v")) },
		moves: map[string]int{"WatchersDropped": 1, "WatchersActive": -1, "Errors": 1, "WritesLocal": 5, "Keys": 5},
	},
	"a stored snapshot": {
		before: func(w *statsWorld) { _ = w.a.Set(w.t.Context(), "k", "v") },
		do:     func(*statsWorld) { pass(200 * time.Millisecond) },
		moves:  map[string]int{"Snapshots": 1, "SnapshotBytes": anyhow},
	},
	"heartbeats": {
		do:    func(*statsWorld) { pass(2 * time.Second) },
		moves: map[string]int{"Heartbeats": anyhow, "Publishes": anyhow, "PublishedBytes": anyhow},
	},
	"a pod comes": {
		do:    func(w *statsWorld) { w.publish(w.x.data()) },
		moves: map[string]int{"Peers": 1, "Origins": 1, "Frames": 1, "FrameBytes": anyhow},
	},
	"a pod goes": {
		do:    func(w *statsWorld) { _ = w.b.Close() },
		moves: map[string]int{"Peers": -1},
	},
	"a publish that fails": {
		before: func(w *statsWorld) { w.net.SetPodFaults("a", transporttest.PodFaults{PublishError: 1}) },
		do:     func(w *statsWorld) { _ = w.a.Set(w.t.Context(), "k", "v") },
		moves:  map[string]int{"PublishErrors": 1, "WritesLocal": 1, "Keys": 1, "Publishes": 1},
	},
	"more than may wait to be sent": {
		before: func(w *statsWorld) {
			w.net.SetPodFaults("a", transporttest.PodFaults{PublishStuck: 1})
			go func() { _ = w.a.Set(w.t.Context(), "stuck", "v") }()
			synctest.Wait()
		},
		do: func(w *statsWorld) {
			for i := range 30 {
				go func() { _ = w.a.SetMany(w.t.Context(), numbered(100, fmt.Sprint(i)+strings.Repeat("v", 500))) }()
			}
			synctest.Wait()
		},
		moves: map[string]int{"QueueDrops": anyhow, "WritesLocal": 3000, "Keys": 100},
	},
	"a corrupt frame": {
		do:    func(w *statsWorld) { w.publish([]byte("garbage")) },
		moves: map[string]int{"FramesBad": 1, "Errors": 1, "Frames": 1, "FrameBytes": 7},
	},
	"a frame that is too large": {
		do:    func(w *statsWorld) { w.publish(bytes.Repeat([]byte("x"), 200_000)) },
		moves: map[string]int{"FramesTooLarge": 1, "Errors": 1, "Frames": 1, "FrameBytes": 200_000},
	},
	"a frame of another codec": {
		do:    func(w *statsWorld) { w.x.codec = "other"; w.publish(w.x.data(w.x.set("k", `"v"`))) },
		moves: map[string]int{"FramesMismatch": 1, "Errors": 1, "Frames": 1},
	},
	"more errors than the handler takes": {
		before: func(w *statsWorld) { w.hang = make(chan struct{}) },
		do: func(w *statsWorld) {
			for range 300 {
				w.publish([]byte("garbage"))
				time.Sleep(time.Second)
			}
			close(w.hang)
		},
		moves: map[string]int{"ErrorsDropped": anyhow, "Errors": 300, "FramesBad": 300},
	},
	"a lost write is repaired": {
		before: func(w *statsWorld) {
			w.net.Cut("a")
			_ = w.b.SetMany(w.t.Context(), numbered(3, "v"))
			w.net.Heal()
		},
		do:    func(*statsWorld) { pass(2500 * time.Millisecond) },
		moves: map[string]int{"Gaps": anyhow, "Repairs": anyhow, "RepairAnswers": maybe, "Errors": maybe, "RepairedWrites": 3, "RepairedBytes": anyhow, "WritesApplied": 3, "Keys": 3},
	},
	"a lost write is sent again": {
		before: func(w *statsWorld) {
			w.net.Cut("a")
			_ = w.a.SetMany(w.t.Context(), numbered(3, "v"))
			w.net.Heal()
		},
		do:    func(*statsWorld) { pass(2500 * time.Millisecond) },
		moves: map[string]int{"RepairAnswers": anyhow, "RepairSent": 3, "Gaps": maybe, "Repairs": maybe, "RepairedBytes": maybe, "Errors": maybe},
	},
	"a repair that nobody answers": {
		do: func(w *statsWorld) {
			w.x.seq = 5
			w.publish(w.x.heartbeat())
			pass(2 * time.Second)
		},
		moves: map[string]int{"Gaps": anyhow, "Repairs": anyhow, "RepairsFailed": anyhow, "RepairedBytes": anyhow, "Peers": 1, "Origins": 1, "RepairAnswers": maybe, "Errors": maybe},
	},
	"a digest that differs": {
		do:    func(w *statsWorld) { w.publish(w.x.beatLike(w.t, w.net, "b")) },
		moves: map[string]int{"DigestMismatches": 1, "Gaps": 1, "Peers": 1, "Origins": 1},
	},
}

// Each field of Stats moves when it should, and only then.
func TestEachFieldOfStatsMovesWhenItShould(t *testing.T) {
	for name, c := range statsCases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := &statsWorld{t: t, net: newNetwork(t, 1), x: newStranger("x")}
				w.a = open(t, w.net.Pod("a"), "a", podshare.WithErrorHandler[string](func(error) {
					if w.hang != nil {
						<-w.hang
					}
				}), podshare.WithGCInterval[string](0), podshare.WithWatchBuffer[string](2),
					podshare.WithLimits[string](podshare.Limits{ValueBytes: 1000, FrameBytes: 100_000, Tombstones: 3, Pending: 200_000}))
				w.b = open(t, w.net.Pod("b"), "b")
				pass(5*time.Second + time.Millisecond)
				if c.before != nil {
					c.before(w)
				}
				before := w.a.Stats()
				if c.do(w); name != "nothing" {
					synctest.Wait()
				}
				after := w.a.Stats()
				require.Equal(t, after.Keys, w.a.Len())
				old, now := reflect.ValueOf(before), reflect.ValueOf(after)
				for i := range old.NumField() {
					field := old.Type().Field(i).Name
					by, named := c.moves[field]
					a, b := old.Field(i).Interface(), now.Field(i).Interface()
					switch {
					case !named && slices.Contains(moving, field):
					case !named:
						require.Equal(t, a, b, field)
					case by == maybe:
					case by == anyhow:
						require.NotEqual(t, a, b, field)
					default:
						require.EqualValues(t, by, difference(now.Field(i), old.Field(i)), field)
					}
				}
				w.net.Calm()
			})
		})
	}
}

// difference is how much a counter of any integer type moved.
func difference(now, old reflect.Value) int64 {
	if now.CanUint() {
		return int64(now.Uint() - old.Uint())
	}
	return now.Int() - old.Int()
}

// No field is forgotten by the table above.
func TestEveryFieldOfStatsHasACase(t *testing.T) {
	covered := map[string]int{}
	for _, c := range statsCases {
		maps.Copy(covered, c.moves)
	}
	elsewhere := []string{"Vanished"} // TestVanishedCountsWritesFoundDeadByComparison
	for _, f := range reflect.VisibleFields(reflect.TypeFor[podshare.Stats]()) {
		if _, ok := covered[f.Name]; !ok {
			require.Contains(t, elsewhere, f.Name, "no case moves this field")
		}
	}
	for field := range covered {
		_, ok := reflect.TypeFor[podshare.Stats]().FieldByName(field)
		require.True(t, ok, "there is no field %s", field)
	}
}

// A pod that was away while a delete was forgotten learns of it by comparison.
func TestVanishedCountsWritesFoundDeadByComparison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		short := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
		a, b := open(t, net.Pod("a"), "a", short...), open(t, net.Pod("b"), "b", short...)
		c := open(t, net.Pod("c"), "c", short...)
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		pass(5 * time.Second)
		net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1})
		net.Cut("a")
		require.NoError(t, b.Delete(t.Context(), "k"))
		pass(10 * time.Minute)
		require.Zero(t, b.Stats().Tombstones+c.Stats().Tombstones)
		require.Zero(t, a.Stats().Vanished)
		net.Heal()
		pass(healing)
		requireAbsent(t, a, "k")
		require.EqualValues(t, 1, a.Stats().Vanished)
	})
}

func TestDelaysFallIntoBuckets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1, transporttest.WithFaults(transporttest.Faults{MinDelay: 3 * time.Millisecond, MaxDelay: 3 * time.Millisecond}))
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		for range 10 {
			require.NoError(t, a.Set(t.Context(), "k", "v"))
			pass(time.Second)
		}
		d := b.Stats().Delay
		require.EqualValues(t, 10, d.Count)
		require.Equal(t, 30*time.Millisecond, d.Sum)
		require.Equal(t, 4096*time.Microsecond, d.Quantile(0.5))
		require.Zero(t, a.Stats().Delay)
	})
}

// Quantile returns the upper bound of the bucket that holds a quantile.
func TestQuantilesOfDelays(t *testing.T) {
	var none podshare.Delays
	for _, q := range []float64{-1, 0, 0.5, 1, 2, math.NaN()} {
		require.Zero(t, none.Quantile(q))
	}
	d := podshare.Delays{Count: 100}
	d.Buckets[0], d.Buckets[10], d.Buckets[24] = 50, 49, 1
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{
		{math.Inf(-1), time.Microsecond},
		{-0.5, time.Microsecond},
		{0, time.Microsecond},
		{0.49, time.Microsecond},
		{0.5, 1024 * time.Microsecond},
		{0.98, 1024 * time.Microsecond},
		{0.99, d.Bound(23)},
		{1, d.Bound(23)},
		{2, d.Bound(23)},
		{math.Inf(1), d.Bound(23)},
	} {
		require.Equal(t, c.want, d.Quantile(c.q), "quantile %v", c.q)
	}
	require.Equal(t, time.Microsecond, d.Bound(0))
	require.Equal(t, time.Microsecond<<23, d.Bound(23))
	for _, bucket := range []int{-1, 24, 25, math.MaxInt} {
		require.Zero(t, d.Bound(bucket))
	}
}
