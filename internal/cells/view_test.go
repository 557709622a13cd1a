package cells

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// walk returns what is left of the view, and fails if a key occurs twice.
func walk(t testing.TB, v *View[int], into map[string]*Entry[int]) map[string]*Entry[int] {
	t.Helper()
	for e := v.Next(); e != nil; e = v.Next() {
		if into[e.Key] != nil {
			t.Errorf("key %q occurs twice", e.Key)
		}
		into[e.Key] = e
	}
	return into
}

// Views that are walked in steps, between random writes: growth, removal, re-insertion, several at once.
func TestViewHoldsItsMoment(t *testing.T) {
	type open struct {
		view *View[int]
		want map[string]*Entry[int]
		got  map[string]*Entry[int]
	}
	for _, c := range []struct{ keys, steps int }{{3, 2_000}, {60, 5_000}, {4_000, 20_000}, {12_000, 40_000}} {
		t.Run(fmt.Sprintf("keys=%d", c.keys), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(4, uint64(c.keys)))
			m, model := New[int](), map[string]*Entry[int]{}
			var views []open
			for step := range c.steps {
				// The range of keys widens, so tables are replaced under the views.
				key := fmt.Sprint(rnd.IntN(1 + c.keys*step/c.steps))
				if rnd.IntN(3) > 0 {
					e := &Entry[int]{Key: key, Val: step}
					m.Put(e)
					model[key] = e
				} else {
					m.Remove(key)
					delete(model, key)
				}
				if len(views) < 4 && rnd.IntN(c.steps/40) == 0 {
					views = append(views, open{m.View(), maps.Clone(model), map[string]*Entry[int]{}})
				}
				for _, o := range views {
					if rnd.IntN(4) > 0 {
						continue
					}
					if e := o.view.Next(); e != nil {
						equal(t, nil, o.got[e.Key], "earlier occurrence of key %q", e.Key)
						o.got[e.Key] = e
					}
				}
				if len(views) == 4 && rnd.IntN(c.steps/20) == 0 {
					i := rnd.IntN(len(views))
					check(t, maps.Equal(views[i].want, walk(t, views[i].view, views[i].got)), "the view holds its moment")
					views = append(views[:i], views[i+1:]...)
				}
			}
			for _, o := range views {
				check(t, maps.Equal(o.want, walk(t, o.view, o.got)), "the view holds its moment")
			}
			m.Put(&Entry[int]{Key: "after"})
			equal(t, 0, len(m.views), "views that are remembered after their end")
		})
	}
}

// The walkers run beside the writer.
func TestViewHoldsItsMomentWhileTheWriterGoesOn(t *testing.T) {
	const keys, steps, rounds = 400, 1_500, 4
	m, model := New[int](), map[string]*Entry[int]{}
	var walkers sync.WaitGroup
	rnd := rand.New(rand.NewPCG(5, 0))
	for step := range steps * rounds {
		if step%steps == steps/2 {
			for range 2 {
				v, want := m.View(), maps.Clone(model)
				walkers.Go(func() {
					got := walk(t, v, map[string]*Entry[int]{})
					if !maps.Equal(want, got) {
						t.Errorf("the view holds %d entries, not the %d of its moment", len(got), len(want))
					}
				})
			}
		}
		key := fmt.Sprint(rnd.IntN(keys * (1 + step/steps)))
		if rnd.IntN(3) > 0 {
			e := &Entry[int]{Key: key, Val: step}
			m.Put(e)
			model[key] = e
		} else {
			m.Remove(key)
			delete(model, key)
		}
	}
	walkers.Wait()
}

// Walkers that are as fast as the writer, on a map so small that both are at the same slots.
func TestViewHoldsItsMomentInTheBucketBeingWritten(t *testing.T) {
	const keys, rounds = 5, 1_500
	m := filled(keys)
	type moment struct {
		view *View[int]
		val  int
	}
	moments := make(chan moment) // closed by the writer after the last
	var walker sync.WaitGroup
	walker.Go(func() {
		for now := range moments {
			n := 0
			for e := now.view.Next(); e != nil; e = now.view.Next() {
				if n++; e.Val != now.val {
					t.Errorf("entry of %d in a view of %d", e.Val, now.val)
				}
			}
			if n != keys {
				t.Errorf("%d entries, want %d", n, keys)
			}
		}
	})
	names := keysOf(keys)
	for round := range rounds {
		if round > 0 {
			moments <- moment{m.View(), round - 1}
		}
		for _, k := range names {
			m.Put(&Entry[int]{Key: k, Val: round})
		}
	}
	close(moments)
	walker.Wait()
}

// While only some tables have split, the directory has the others more than once.
func TestViewPassesEachTableOnce(t *testing.T) {
	m, n, unequal := New[int](), 0, false
	for !unequal {
		m.Put(&Entry[int]{Key: fmt.Sprint(n)})
		n++
		for i, tab := range m.dir.Load().tables {
			unequal = unequal || tab.first != uint64(i)
		}
	}
	equal(t, n, len(walk(t, m.View(), map[string]*Entry[int]{})), "entries in all")
}

func filled(n int) *Map[int] {
	m := New[int]()
	for _, k := range keysOf(n) {
		m.Put(&Entry[int]{Key: k})
	}
	return m
}

func TestClosedViewIsForgotten(t *testing.T) {
	m := filled(100)
	v := m.View()
	check(t, v.Next() != nil, "there is a first entry")
	v.Close()
	v.Close()
	check(t, len(walk(t, v, map[string]*Entry[int]{})) < slotsPerBucket, "only the rest of a bucket comes after Close")
	equal(t, nil, v.Next(), "entry after the end")
	m.Put(&Entry[int]{Key: "next write"})
	equal(t, 0, len(m.views), "views that are remembered after their end")

	m.View().Close()
	last := m.View()
	check(t, slices.Equal(m.views, []*View[int]{last}), "taking a view forgets closed ones, too")
}

func TestCloseBesideTheWalkerAndTheWriter(t *testing.T) {
	m := filled(500)
	v := m.View()
	var others sync.WaitGroup
	others.Go(func() { walk(t, v, map[string]*Entry[int]{}) })
	others.Go(v.Close)
	for i, k := range keysOf(500) {
		m.Put(&Entry[int]{Key: k, Val: i})
	}
	others.Wait()
	m.Remove("absent or not, the next change forgets the view")
	m.Put(&Entry[int]{Key: "last"})
	equal(t, 0, len(m.views), "views that are remembered after their end")
}

// A view keeps at most the slots of its moment, and none that it has passed.
func TestViewKeepsOnlyWhatItNeeds(t *testing.T) {
	m := filled(1_000)
	v := m.View()
	keys := keysOf(1_000)
	for range 3 {
		for i, k := range keys {
			m.Put(&Entry[int]{Key: k, Val: i})
		}
	}
	equal(t, 1_000, len(v.kept), "slots kept, each once")

	passed := map[string]*Entry[int]{}
	for range 600 {
		e := v.Next()
		passed[e.Key] = e
	}
	check(t, len(v.kept) <= 400, "passed slots are forgotten")
	kept := len(v.kept)
	for k := range passed {
		m.Put(&Entry[int]{Key: k, Val: -1})
	}
	equal(t, kept, len(v.kept), "slots kept, without those that were passed")

	for _, k := range keysOf(5_000)[1_000:] { // replaces the tables of the view
		m.Put(&Entry[int]{Key: k})
	}
	kept = len(v.kept)
	for _, k := range keys {
		m.Put(&Entry[int]{Key: k, Val: -2})
	}
	equal(t, kept, len(v.kept), "slots kept, without those of younger tables")
	equal(t, 1_000, len(walk(t, v, passed)), "entries in all")
	equal(t, 0, len(v.kept), "slots kept after the end")
}
