package crdt

import (
	"cmp"
	"slices"
)

// tag names one add of one run, for ever.
type tag struct {
	replica string
	n       uint64 // from 1
}

func compareTags(a, b tag) int {
	return cmp.Or(cmp.Compare(a.replica, b.replica), cmp.Compare(a.n, b.n))
}

// history is a set of tags: the adds that a state has taken note of, also those whose elements are gone. It is
// the causal context of Almeida et al. Tags of a replica without gaps make one span, however many they are.
type history struct {
	seen []spans // by replica
}

// spans are tags of one replica.
type spans struct {
	replica string
	runs    []span // ascending; between two runs at least one tag is missing
}

// span is the numbers from first to last.
type span struct{ first, last uint64 }

func compareSpans(a, b spans) int { return cmp.Compare(a.replica, b.replica) }

func (h history) covers(t tag) bool {
	i, found := slices.BinarySearchFunc(h.seen, spans{replica: t.replica}, compareSpans)
	if !found {
		return false
	}
	runs := h.seen[i].runs
	i, found = slices.BinarySearchFunc(runs, t.n, func(s span, n uint64) int { return cmp.Compare(s.first, n) })
	return found || i > 0 && t.n <= runs[i-1].last
}

// historyOf returns the set of some tags, in any order. It takes the slice over.
func historyOf(tags []tag) (h history) {
	slices.SortFunc(tags, compareTags)
	for len(tags) > 0 {
		s := spans{replica: tags[0].replica}
		for len(tags) > 0 && tags[0].replica == s.replica {
			s.runs = append(s.runs, span{tags[0].n, tags[0].n})
			tags = tags[1:]
		}
		s.runs = joinRuns(s.runs, nil)
		h.seen = append(h.seen, s)
	}
	return h
}

func (h history) with(t tag) history {
	return history{with(h.seen, spans{t.replica, []span{{t.n, t.n}}}, compareSpans, joinSpans)}
}

func (h history) merge(o history) history {
	return history{union(h.seen, o.seen, compareSpans, joinSpans)}
}

func joinSpans(a, b spans) spans { return spans{a.replica, joinRuns(a.runs, b.runs)} }

// joinRuns returns the union of two lists of runs.
func joinRuns(a, b []span) []span {
	if len(a) == 1 && len(b) == 1 { // as most often: no need to allocate where one contains the other
		switch x, y := a[0], b[0]; {
		case x.first <= y.first && y.last <= x.last:
			return a
		case y.first <= x.first && x.last <= y.last:
			return b
		}
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	n := 0
	for _, s := range all[1:] {
		if s.first-1 > all[n].last { // first ≥ 1, so nothing wraps
			n++
			all[n] = s
			continue
		}
		all[n].last = max(all[n].last, s.last)
	}
	return all[: n+1 : n+1]
}
