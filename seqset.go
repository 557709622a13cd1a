package podshare

import (
	"cmp"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// span is an inclusive run of sequence numbers.
type span = wire.Span

// seqSet says which writes of one origin a replica has seen: all up to head, and the runs above it.
// Together, one per origin, they are a version vector with exceptions (Malkhi and Terry 2005).
//
// To insert a run moves those behind it. Beyond maxMoved runs new ones therefore gather beside the others, and are merged
// with them in one go: else a frame of writes in descending order would cost the square of their number.
//
// Invariants: spans are ascending, disjoint and not adjacent; spans[0].First > head+1. The same holds for fresh, which
// may overlap spans, and is empty unless there are more than maxMoved of these.
type seqSet struct {
	head  uint64
	spans []span // see above for who reads them
	fresh []span // seen too, and not in spans yet
}

// maxMoved bounds how many runs one insertion moves.
const maxMoved = 1024

// covers reports whether seq was seen. No sequence number is zero; zero counts as seen.
func (s *seqSet) covers(seq uint64) bool {
	return seq <= s.head || within(s.spans, seq) || within(s.fresh, seq)
}

func within(spans []span, seq uint64) bool {
	i := search(spans, seq)
	return i < len(spans) && spans[i].First <= seq
}

// above returns the runs above the head. They share memory with s.
func (s *seqSet) above() []span {
	s.settle()
	return s.spans
}

// coversAll reports whether every number from first to last was seen.
func (s *seqSet) coversAll(first, last uint64) bool {
	if last <= s.head {
		return true
	}
	s.settle()
	first = max(first, s.head+1)
	i := search(s.spans, first)
	return i < len(s.spans) && s.spans[i].First <= first && last <= s.spans[i].Last
}

// max returns the highest number seen.
func (s *seqSet) max() uint64 {
	if spans := s.above(); len(spans) > 0 {
		return spans[len(spans)-1].Last
	}
	return s.head
}

// search returns the index of the first span that ends at seq or later.
func search(spans []span, seq uint64) int {
	lo, hi := 0, len(spans)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); spans[mid].Last < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// add marks first to last as seen.
func (s *seqSet) add(first, last uint64) {
	if last <= s.head || first > last {
		return
	}
	if first <= s.head+1 {
		s.head = last
		for more := true; more; {
			more = absorb(&s.head, &s.spans) || absorb(&s.head, &s.fresh)
		}
		if len(s.spans) <= maxMoved {
			s.settle()
		}
		return
	}
	if n := len(s.spans); n <= maxMoved || first >= s.spans[n-1].First {
		insert(&s.spans, first, last)
		return
	}
	if insert(&s.fresh, first, last); len(s.fresh) > maxMoved {
		s.settle()
	}
}

// insert adds a run to ascending, disjoint spans.
func insert(spans *[]span, first, last uint64) {
	// [i, j) are the spans that touch or overlap [first, last].
	i := search(*spans, first-1)
	j := i
	for j < len(*spans) && (*spans)[j].First <= last+1 {
		first = min(first, (*spans)[j].First)
		last = max(last, (*spans)[j].Last)
		j++
	}
	*spans = slices.Replace(*spans, i, j, span{First: first, Last: last})
}

// absorb moves spans that the head has reached into it, and reports whether there were any.
func absorb(head *uint64, spans *[]span) bool {
	n := 0
	for n < len(*spans) && (*spans)[n].First <= *head+1 {
		*head = max(*head, (*spans)[n].Last)
		n++
	}
	if *spans = (*spans)[n:]; len(*spans) == 0 {
		*spans = nil
	}
	return n > 0
}

// settle merges what gathered beside the spans into them.
func (s *seqSet) settle() {
	if len(s.fresh) == 0 {
		return
	}
	all := make([]span, 0, len(s.spans)+len(s.fresh))
	old, fresh := s.spans, s.fresh
	for len(old)+len(fresh) > 0 {
		from := &old
		if len(old) == 0 || len(fresh) > 0 && fresh[0].First < old[0].First {
			from = &fresh
		}
		run := (*from)[0]
		*from = (*from)[1:]
		if n := len(all); n > 0 && run.First <= all[n-1].Last+1 {
			all[n-1].Last = max(all[n-1].Last, run.Last)
		} else {
			all = append(all, run)
		}
	}
	s.spans, s.fresh = all, nil
}

// runs returns everything seen as spans, the head first. The result may share memory with s.
func (s *seqSet) runs() []span {
	s.settle()
	if s.head == 0 {
		return s.spans
	}
	return append([]span{{First: 1, Last: s.head}}, s.spans...)
}

// join marks everything in o as seen, but for what holes covers.
func (s *seqSet) join(o *seqSet, holes *seqSet) {
	parts := o.runs()
	if holes != nil {
		parts = nil
		for _, run := range o.runs() {
			parts = append(parts, holes.missing(run)...)
		}
	}
	if len(parts) <= 8 {
		for _, part := range parts {
			s.add(part.First, part.Last)
		}
		return
	}
	// Many: adding one by one would move the rest each time.
	all := slices.Concat(s.runs(), parts)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.First, b.First) })
	*s = seqSet{spans: make([]span, 0, len(all))}
	for _, run := range all {
		s.add(run.First, run.Last) // always at the end
	}
}

// missing returns the parts of run that s does not cover.
func (s *seqSet) missing(run span) []span {
	s.settle()
	var gaps []span
	next := max(run.First, s.head+1)
	for i := search(s.spans, next); i < len(s.spans) && s.spans[i].First <= run.Last && next <= run.Last; i++ {
		if next < s.spans[i].First {
			gaps = append(gaps, span{First: next, Last: s.spans[i].First - 1})
		}
		next = s.spans[i].Last + 1
	}
	if next <= run.Last {
		gaps = append(gaps, span{First: next, Last: run.Last})
	}
	return gaps
}

// includes reports whether s has seen everything that o has.
func (s *seqSet) includes(o *seqSet) bool {
	if o.head > 0 && !s.coversAll(1, o.head) {
		return false
	}
	for _, run := range o.above() {
		if !s.coversAll(run.First, run.Last) {
			return false
		}
	}
	return true
}

// lacking counts the numbers from 1 to last that were not seen.
func (s *seqSet) lacking(last uint64) uint64 {
	var n uint64
	for _, gap := range s.missing(span{First: 1, Last: last}) {
		n += gap.Last - gap.First + 1
	}
	return n
}

func (s *seqSet) equal(o *seqSet) bool {
	return s.head == o.head && slices.Equal(s.above(), o.above())
}

func (s *seqSet) clone() seqSet {
	return seqSet{head: s.head, spans: slices.Clone(s.above())}
}

// hash is a fingerprint of the set under the given salt; the empty set hashes to zero.
func (s *seqSet) hash(salt uint64) uint64 {
	var h uint64
	if s.head > 0 {
		h = mix(salt, s.head)
	}
	for _, run := range s.above() {
		h += mix(mix(salt, run.First), ^run.Last)
	}
	return h
}

// mix combines two numbers into a well spread one (the finaliser of SplitMix64, Steele et al. 2014).
func mix(a, b uint64) uint64 {
	x := a ^ (b * 0x9e3779b97f4a7c15)
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}
