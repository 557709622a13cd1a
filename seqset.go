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
// Invariants: spans are ascending, disjoint and not adjacent; spans[0].First > head+1.
type seqSet struct {
	head  uint64
	spans []span
}

// covers reports whether seq was seen. No sequence number is zero; zero counts as seen.
func (s *seqSet) covers(seq uint64) bool {
	if seq <= s.head {
		return true
	}
	i := s.search(seq)
	return i < len(s.spans) && s.spans[i].First <= seq
}

// coversAll reports whether every number from first to last was seen.
func (s *seqSet) coversAll(first, last uint64) bool {
	if last <= s.head {
		return true
	}
	first = max(first, s.head+1)
	i := s.search(first)
	return i < len(s.spans) && s.spans[i].First <= first && last <= s.spans[i].Last
}

// max returns the highest number seen.
func (s *seqSet) max() uint64 {
	if n := len(s.spans); n > 0 {
		return s.spans[n-1].Last
	}
	return s.head
}

// search returns the index of the first span that ends at seq or later.
func (s *seqSet) search(seq uint64) int {
	lo, hi := 0, len(s.spans)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); s.spans[mid].Last < seq {
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
		s.absorb()
		return
	}
	// [i, j) are the spans that touch or overlap [first, last].
	i := s.search(first - 1)
	j := i
	for j < len(s.spans) && s.spans[j].First <= last+1 {
		first = min(first, s.spans[j].First)
		last = max(last, s.spans[j].Last)
		j++
	}
	s.spans = slices.Replace(s.spans, i, j, span{First: first, Last: last})
}

// absorb moves spans that the head has reached into it.
func (s *seqSet) absorb() {
	n := 0
	for n < len(s.spans) && s.spans[n].First <= s.head+1 {
		s.head = max(s.head, s.spans[n].Last)
		n++
	}
	if n > 0 {
		s.spans = slices.Delete(s.spans, 0, n)
		if len(s.spans) == 0 {
			s.spans = nil
		}
	}
}

// runs returns everything seen as spans, the head first. The result may share memory with s.
func (s *seqSet) runs() []span {
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
	var gaps []span
	next := max(run.First, s.head+1)
	for i := s.search(next); i < len(s.spans) && s.spans[i].First <= run.Last && next <= run.Last; i++ {
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
	for _, run := range o.spans {
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
	return s.head == o.head && slices.Equal(s.spans, o.spans)
}

func (s *seqSet) clone() seqSet {
	return seqSet{head: s.head, spans: slices.Clone(s.spans)}
}

// hash is a fingerprint of the set under the given salt; the empty set hashes to zero.
func (s *seqSet) hash(salt uint64) uint64 {
	var h uint64
	if s.head > 0 {
		h = mix(salt, s.head)
	}
	for _, run := range s.spans {
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
