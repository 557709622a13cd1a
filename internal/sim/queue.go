package sim

import "container/heap"

// queue runs steps in order of virtual time, those of one moment in the order in which they were planned.
type queue struct {
	now   int64 // ns since the start
	count uint64
	steps steps
}

type step struct {
	at    int64
	order uint64
	do    func()
}

// after plans a step d ns from now.
func (q *queue) after(d int64, do func()) {
	q.count++
	heap.Push(&q.steps, step{at: q.now + max(d, 0), order: q.count, do: do})
}

// runUntil runs what is due up to and including the time end.
func (q *queue) runUntil(end int64) {
	for len(q.steps) > 0 && q.steps[0].at <= end {
		s := heap.Pop(&q.steps).(step)
		q.now = s.at
		s.do()
	}
	q.now = end
}

type steps []step

func (s *steps) Len() int { return len(*s) }

func (s *steps) Less(i, j int) bool {
	a, b := &(*s)[i], &(*s)[j]
	if a.at != b.at {
		return a.at < b.at
	}
	return a.order < b.order
}

func (s *steps) Swap(i, j int) { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }
func (s *steps) Push(x any)    { *s = append(*s, x.(step)) }

func (s *steps) Pop() any {
	n := len(*s) - 1
	x := (*s)[n]
	*s = (*s)[:n]
	return x
}
