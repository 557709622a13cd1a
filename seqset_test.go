package podshare

import (
	"math/rand/v2"
	"testing"
)

// A naive twin of seqSet.
type seqModel map[uint64]bool

func (m seqModel) add(first, last uint64) {
	for s := first; s <= last; s++ {
		m[s] = true
	}
}

const maxModelSeq = 64

// drawSeqSet makes a set and its twin from the same random runs.
func drawSeqSet(t *testing.T, rng *rand.Rand) (seqSet, seqModel) {
	t.Helper()
	var s seqSet
	m := seqModel{}
	for range rng.IntN(12) {
		first := 1 + rng.Uint64N(maxModelSeq-1)
		last := min(first+rng.Uint64N(6), maxModelSeq)
		s.add(first, last)
		m.add(first, last)
		compareSeqSet(t, &s, m)
	}
	return s, m
}

// compareSeqSet compares everything that a set can be asked with what its twin says.
func compareSeqSet(t *testing.T, s *seqSet, m seqModel) {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	var highest uint64
	for seq := uint64(1); seq <= maxModelSeq+2; seq++ {
		if s.covers(seq) != m[seq] {
			t.Fatalf("%v covers %d: %v", *s, seq, !m[seq])
		}
		if m[seq] {
			highest = seq
		}
	}
	if s.max() != highest {
		t.Fatalf("%v has maximum %d, got %d", *s, highest, s.max())
	}
	var listed seqSet
	for _, run := range s.runs() {
		listed.add(run.First, run.Last)
	}
	if !listed.equal(s) {
		t.Fatalf("runs of %v make %v", *s, listed)
	}
}

func TestSeqSetAgainstModel(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		a, ma := drawSeqSet(t, rng)
		b, mb := drawSeqSet(t, rng)
		holes, mh := drawSeqSet(t, rng)

		first := 1 + rng.Uint64N(maxModelSeq)
		last := min(first+rng.Uint64N(20), maxModelSeq+2)
		gaps := seqModel{}
		for _, gap := range a.missing(span{First: first, Last: last}) {
			gaps.add(gap.First, gap.Last)
		}
		all := true
		for seq := first; seq <= last; seq++ {
			all = all && ma[seq]
			if gaps[seq] == ma[seq] {
				t.Fatalf("seed %d: missing of %v in %d–%d has %d: %v", seed, a, first, last, seq, gaps[seq])
			}
		}
		if a.coversAll(first, last) != all {
			t.Fatalf("seed %d: %v covers all of %d–%d: %v", seed, a, first, last, !all)
		}

		includes, equal := true, true
		for seq := uint64(1); seq <= maxModelSeq; seq++ {
			includes = includes && (ma[seq] || !mb[seq])
			equal = equal && ma[seq] == mb[seq]
		}
		if a.includes(&b) != includes || a.equal(&b) != equal {
			t.Fatalf("seed %d: %v and %v: includes %v, equal %v", seed, a, b, a.includes(&b), a.equal(&b))
		}

		joined, except := a.clone(), a.clone()
		joined.join(&b, nil)
		except.join(&b, &holes)
		mj, me := seqModel{}, seqModel{}
		for seq := uint64(1); seq <= maxModelSeq; seq++ {
			mj[seq] = ma[seq] || mb[seq]
			me[seq] = ma[seq] || mb[seq] && !mh[seq]
		}
		compareSeqSet(t, &joined, mj)
		compareSeqSet(t, &except, me)
		compareSeqSet(t, &a, ma) // a clone shares nothing that is changed
	}
}

// Joining commutes, associates and may be repeated; equal sets have equal hashes, however they were made.
func TestSeqSetJoinAlgebra(t *testing.T) {
	join := func(x seqSet, ys ...seqSet) seqSet {
		z := x.clone()
		for i := range ys {
			z.join(&ys[i], nil)
		}
		return z
	}
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, _ := drawSeqSet(t, rng)
		b, _ := drawSeqSet(t, rng)
		c, _ := drawSeqSet(t, rng)
		want := join(a, b, c)
		for i, got := range []seqSet{join(c, b, a), join(a, join(b, c)), join(want, a, b, c)} {
			if !got.equal(&want) || got.hash(7) != want.hash(7) {
				t.Fatalf("seed %d, way %d: %v, want %v", seed, i, got, want)
			}
		}
		if !a.equal(&b) && a.hash(7) == b.hash(7) {
			t.Fatalf("seed %d: %v and %v have the same hash", seed, a, b)
		}
	}
}

// Sets of many runs are joined in another way than sets of few.
func TestSeqSetJoinOfManyRunsAgreesWithItsTwin(t *testing.T) {
	const highest = 2000
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var sets [3]seqSet // two to join, and holes
		var models [3]seqModel
		for i := range sets {
			models[i] = seqModel{}
			for range rng.IntN(300) {
				first := 1 + rng.Uint64N(highest)
				last := first + rng.Uint64N(6)
				sets[i].add(first, last)
				models[i].add(first, last)
			}
		}
		all, except := sets[0].clone(), sets[0].clone()
		all.join(&sets[1], nil)
		except.join(&sets[1], &sets[2])
		for _, joined := range []*seqSet{&all, &except} {
			if err := joined.check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for seq := uint64(1); seq <= highest+10; seq++ {
			a, b, hole := models[0][seq], models[1][seq], models[2][seq]
			if all.covers(seq) != (a || b) || except.covers(seq) != (a || b && !hole) {
				t.Fatalf("seed %d: %d is in %v, %v, holes %v; joined %v, with holes %v", seed, seq, a, b, hole,
					all.covers(seq), except.covers(seq))
			}
		}
	}
}

// A join moves every run once: its memory is allocated in as many steps for many runs as for some. Adding them one by
// one would move all runs above for each, and grow the set in ever more steps.
func TestSeqSetJoinOfManyRunsAllocatesOnce(t *testing.T) {
	join := func(n uint64) float64 {
		var odd, even seqSet
		for i := range n {
			odd.add(4*i+3, 4*i+3)
			even.add(4*i+5, 4*i+5)
		}
		return testing.AllocsPerRun(10, func() {
			s := odd.clone()
			s.join(&even, nil)
		})
	}
	some, many := join(100), join(20_000)
	if many > some {
		t.Fatalf("%v allocations for 20,000 runs, %v for 100", many, some)
	}
}

func TestSeqSetHashOfNothingIsZero(t *testing.T) {
	if h := (&seqSet{}).hash(42); h != 0 {
		t.Fatalf("%x", h)
	}
}

// Many runs that come in any order but the ascending one gather beside the others; the set is the same.
func TestSeqSetOfManyRunsInAnyOrder(t *testing.T) {
	const runs = 5 * maxMoved
	orders := map[string]func(i int) int{
		"descending":      func(i int) int { return runs - 1 - i },
		"scattered":       func(i int) int { return i * 7919 % runs },
		"from the middle": func(i int) int { return (i + runs/2) % runs },
	}
	run := func(i int) (first, last uint64) { return uint64(3*i + 2), uint64(3*i + 2 + i%2) }
	var want seqSet
	for i := range runs {
		want.add(run(i))
	}
	for name, at := range orders {
		t.Run(name, func(t *testing.T) {
			var s seqSet
			gathered := 0
			for i := range runs {
				first, last := run(at(i))
				s.add(first, last)
				gathered = max(gathered, len(s.fresh))
				if !s.covers(first) || !s.covers(last) || s.covers(first-1) && s.covers(first-2) {
					t.Fatalf("after %d–%d", first, last)
				}
			}
			if gathered == 0 || gathered > maxMoved {
				t.Fatalf("%d runs gathered, limit %d", gathered, maxMoved)
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			if !s.equal(&want) || s.hash(7) != want.hash(7) {
				t.Fatal("another set")
			}
			for i := range runs { // the gaps are filled, and the head takes it all
				s.add(1, uint64(3*i+4))
				if err := s.check(); err != nil {
					t.Fatal(err)
				}
			}
			if s.head != 3*(runs-1)+4 || len(s.above()) > 0 {
				t.Fatalf("head %d, %d runs above", s.head, len(s.above()))
			}
		})
	}
}
