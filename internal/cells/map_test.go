package cells

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// valid checks what bucket.go, table.go and map.go state of the map between two writes.
func valid(t testing.TB, m *Map[int]) {
	t.Helper()
	dir, total := m.dir.Load(), 0
	for i, tab := range dir.tables {
		equal(t, uint64(i)&(1<<tab.depth-1), tab.first, "first index of the table at index %d", i)
		if tab.first != uint64(i) {
			continue
		}
		passed, count := make([]uint64, len(tab.buckets)), 0
		for at := range tab.buckets {
			for j := range tab.buckets[at].slots {
				e := tab.buckets[at].slots[j].Load()
				if e == nil {
					continue
				}
				count++
				h := m.Hash(e.Key)
				equal(t, tab.first, h&(1<<tab.depth-1), "table of key %q", e.Key)
				equal(t, h>>56, tab.buckets[at].ctrl.Load()>>(8*j)&0xff, "tag of key %q", e.Key)
				for d := 0; ; d++ {
					_, home := tab.bucket(h, d)
					if home == at {
						break
					}
					passed[home]++
				}
			}
		}
		for at := range passed {
			equal(t, passed[at], tab.buckets[at].ctrl.Load()/passedOne, "counter of bucket %d", at)
		}
		equal(t, count, tab.count, "table.count")
		check(t, count <= maxLoad*len(tab.buckets), "%d entries fit in %d buckets", count, len(tab.buckets))
		total += count
	}
	equal(t, total, m.Len(), "Len")
}

// Every operation against the builtin map, from one bucket to many tables.
func TestMapDoesWhatAMapDoes(t *testing.T) {
	for _, c := range []struct{ keys, steps int }{{3, 300}, {100, 5_000}, {3_000, 20_000}, {20_000, 100_000}} {
		t.Run(fmt.Sprintf("keys=%d", c.keys), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, uint64(c.keys)))
			m, model := New[int](), map[string]*Entry[int]{}
			for step := range c.steps {
				key := fmt.Sprint(rnd.IntN(c.keys))
				want := model[key]
				var got *Entry[int]
				switch rnd.IntN(5) {
				case 0, 1, 2:
					e := &Entry[int]{Key: key, Val: step}
					got, model[key] = m.Put(e), e
				case 3:
					got = m.Remove(key)
					delete(model, key)
				case 4:
					got = m.Get(key)
				}
				if got != want || m.GetBytes([]byte(key)) != model[key] || m.Len() != len(model) {
					t.Fatalf("step %d, key %s: the map and the model differ", step, key)
				}
			}
			valid(t, m)
			for key, e := range model {
				equal(t, e, m.Get(key), "entry of key %q", key)
			}
		})
	}
}

func TestEmptyKeyIsAKey(t *testing.T) {
	m := New[int]()
	equal(t, nil, m.GetBytes(nil), "entry of no key")
	e := &Entry[int]{}
	m.Put(e)
	equal(t, e, m.Get(""), "entry of the empty key")
	equal(t, e, m.GetBytes(nil), "entry of the empty key")
}

// Each version of a key has a number: even ones are entries, odd ones, of which most are left out, are
// absence. What a read may say lies between what was done or seen before it began and what was begun when
// it ended.
func TestReadsAreLinearizable(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  int
		grows bool // other keys are put meanwhile
	}{{"one bucket", 5, false}, {"full buckets", 20, false}, {"growing", 24, true}} {
		t.Run(c.name, func(t *testing.T) { testReadsAreLinearizable(t, c.keys, c.grows) })
	}
}

func testReadsAreLinearizable(t *testing.T, keys int, grows bool) {
	type history struct {
		begun, known atomic.Int64
		gone         atomic.Int64 // the latest absence that was begun
	}
	hist := make([]history, keys)
	learn := func(h *history, version int64) {
		for known := h.known.Load(); known < version && !h.known.CompareAndSwap(known, version); {
			known = h.known.Load()
		}
	}
	m, names := New[int64](), keysOf(keys)
	for _, k := range names {
		m.Put(&Entry[int64]{Key: k})
	}

	var done atomic.Bool
	var readers sync.WaitGroup
	for r := range 2 {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(2, uint64(r)))
			for !done.Load() {
				i := rnd.IntN(keys)
				h := &hist[i]
				from := h.known.Load()
				e := m.Get(names[i])
				to := h.begun.Load()
				switch {
				case e == nil:
					gone := h.gone.Load()
					if gone < from {
						t.Errorf("absent, though version %d is there", from)
					}
					if to == from+1 && gone == to {
						learn(h, gone)
					}
				case e.Key != names[i] || e.Val < from || e.Val > to:
					t.Errorf("version %d of %q read as %q, want one of %d…%d", e.Val, names[i], e.Key, from, to)
				default:
					learn(h, e.Val)
				}
			}
		})
	}

	rnd := rand.New(rand.NewPCG(3, 0))
	for step := range 6_000 {
		if grows {
			m.Put(&Entry[int64]{Key: fmt.Sprint("other", step)})
		}
		i := rnd.IntN(keys)
		h := &hist[i]
		version := h.begun.Load() + 1
		if version%2 == 1 && rnd.IntN(2) == 0 {
			version++ // replaces instead of removing
		}
		if version%2 == 1 {
			h.gone.Store(version)
		}
		h.begun.Store(version)
		if version%2 == 1 {
			m.Remove(names[i])
		} else {
			m.Put(&Entry[int64]{Key: names[i], Val: version})
		}
		learn(h, version)
	}
	done.Store(true)
	readers.Wait()
}

func TestReadsAllocateNothing(t *testing.T) {
	m := New[value]()
	keys := keysOf(5_000)
	for _, k := range keys {
		m.Put(&Entry[value]{Key: k})
	}
	present, absent := []byte(keys[17]), []byte("a key that is absent and longer than 32 bytes")
	for name, read := range map[string]func(){
		"Get":              func() { m.Get(keys[17]) },
		"Get, absent":      func() { m.Get("absent") },
		"GetBytes":         func() { m.GetBytes(present) },
		"GetBytes, absent": func() { m.GetBytes(absent) },
		"Len":              func() { m.Len() },
	} {
		equal(t, 0, testing.AllocsPerRun(100, read), "allocations of %s", name)
	}
}

func TestWithHashYieldsTheEntryOfItsKey(t *testing.T) {
	m := New[int]()
	const n = 20_000 // several tables, and keys that are not in their home bucket
	for i := range n {
		m.Put(&Entry[int]{Key: fmt.Sprint(i), Val: i})
	}
	for i := range n / 2 {
		m.Remove(fmt.Sprint(i))
	}
	for i := range n {
		var got []int
		for e := range m.WithHash(m.Hash(fmt.Sprint(i))) {
			got = append(got, e.Val)
		}
		switch {
		case i < n/2:
			equal(t, 0, len(got), "entries of the removed key %d", i)
		default:
			equal(t, fmt.Sprint([]int{i}), fmt.Sprint(got), "entries of key %d", i)
		}
	}
}
