package cells

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

type value [8]uint64 // 64 bytes, as small structs are

var sink uint64 // keeps reads from being optimised away

func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("session/%012d", i) // 20 bytes
	}
	return keys
}

// shuffled returns copies of keys in random order: callers do not own the strings that the map holds.
func shuffled(keys []string) []string {
	out := make([]string, len(keys))
	for i, j := range rand.Perm(len(keys)) {
		out[i] = strings.Clone(keys[j])
	}
	return out
}

func filledWith[V any](keys []string) *Map[V] {
	m := New[V]()
	for _, k := range keys {
		m.Put(&Entry[V]{Key: k})
	}
	return m
}

// loop calls read with one key after the other, b.N times in all.
func loop(b *testing.B, keys []string, read func(key string)) {
	b.Helper()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		read(keys[i])
		if i++; i == len(keys) {
			i = 0
		}
	}
}

// Goal: cells ≤ 1.3 × builtin at 10,000 keys, ≤ 1.4 × at 1,000,000.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		keys := keysOf(n)
		m := filledWith[value](keys)
		builtin := make(map[string]value)
		for _, k := range keys {
			builtin[k] = value{}
		}
		present, absent := shuffled(keys), shuffled(keys)
		for i := range absent {
			absent[i] = "absent!" + absent[i][7:]
		}
		cells := func(key string) {
			if e := m.Get(key); e != nil {
				sink += e.Val[0]
			}
		}
		unguarded := func(key string) {
			if v, ok := builtin[key]; ok {
				sink += v[0]
			}
		}
		b.Run(fmt.Sprintf("keys=%d/cells", n), func(b *testing.B) {
			loop(b, present, cells)
			b.ReportMetric(float64(m.bytes())/float64(n), "index-B/key")
		})
		b.Run(fmt.Sprintf("keys=%d/builtin", n), func(b *testing.B) { loop(b, present, unguarded) })
		b.Run(fmt.Sprintf("keys=%d/absent/cells", n), func(b *testing.B) { loop(b, absent, cells) })
		b.Run(fmt.Sprintf("keys=%d/absent/builtin", n), func(b *testing.B) { loop(b, absent, unguarded) })
	}
}

// Goal: two goroutines ≥ 1.8 × the throughput of one; 10,000 writes a second beside them change nothing.
// What the machine allows show the goroutines that read a builtin map nobody writes.
func BenchmarkGetConcurrent(b *testing.B) {
	keys := keysOf(10_000)
	m, builtin := filledWith[value](keys), make(map[string]value)
	for _, k := range keys {
		builtin[k] = value{}
	}
	cells := func(key string) bool { return m.Get(key) != nil }
	unguarded := func(key string) bool { _, ok := builtin[key]; return ok }

	for _, goroutines := range []int{1, 2} {
		for _, writes := range []int{0, 10_000} {
			b.Run(fmt.Sprintf("goroutines=%d/writes=%d/cells", goroutines, writes), func(b *testing.B) {
				defer writeBeside(m, keys, writes)()
				loopIn(b, goroutines, keys, cells)
			})
		}
		b.Run(fmt.Sprintf("goroutines=%d/builtin", goroutines), func(b *testing.B) {
			loopIn(b, goroutines, keys, unguarded)
		})
	}
}

// loopIn does b.N reads, shared among the goroutines.
func loopIn(b *testing.B, goroutines int, keys []string, read func(key string) bool) {
	b.Helper()
	order := shuffled(keys)
	var readers sync.WaitGroup
	b.ResetTimer()
	for g := range goroutines {
		n, keys := b.N/goroutines, slices.Concat(order[g*len(order)/goroutines:], order[:g*len(order)/goroutines])
		readers.Go(func() {
			for i, next := 0, 0; i < n; i++ {
				if !read(keys[next]) {
					b.Error("a key is missing")
				}
				if next++; next == len(keys) {
					next = 0
				}
			}
		})
	}
	readers.Wait()
}

// writeBeside replaces entries, perSecond of them, until stop is called.
func writeBeside(m *Map[value], keys []string, perSecond int) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			for range perSecond / 1_000 {
				i++
				m.Put(&Entry[value]{Key: keys[i%len(keys)]})
			}
		}
	}()
	return func() { close(quit); <-done }
}

// Replaces present keys. With a view open each slot is changed once a view, the dearest case.
func BenchmarkPut(b *testing.B) {
	for _, open := range []bool{false, true} {
		b.Run(fmt.Sprintf("keys=100000/view=%t", open), func(b *testing.B) {
			keys := shuffled(keysOf(100_000))
			m := filledWith[value](keys)
			entries := make([]*Entry[value], len(keys))
			for i, k := range keys {
				entries[i] = &Entry[value]{Key: k}
			}
			var v *View[value]
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i %= len(entries); i == 0 && open {
					if v != nil {
						v.Close()
					}
					v = m.View()
				}
				m.Put(entries[i])
				i++
			}
		})
	}
}

// The longest pause of a writer: splitting a table whose keys are in no cache. Goal: ≤ 1 ms.
func BenchmarkSplit(b *testing.B) {
	m := filledWith[value](shuffled(keysOf(640_000))) // tables of about 2,500 keys
	tables := m.dir.Load().tables
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tables[i%len(tables)].grown(m.seed)
		i++
	}
}

// A walk over all entries.
func BenchmarkView(b *testing.B) {
	m := filledWith[value](keysOf(1_000_000))
	b.Run("keys=1000000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v := m.View()
			for e := v.Next(); e != nil; e = v.Next() {
				sink += e.Val[0]
			}
		}
	})
}
