package podshare

import (
	"container/heap"
)

// aged is a write that something happens to at a time: it expires, or may be collected.
type aged struct {
	at  int64 // ns since the Unix epoch
	key string
	dot dot
	// exchange is the number of exchanges that had ended when a tombstone came; see collectible.
	exchange uint64
}

// ageHeap yields writes in order of their time. What is replaced meanwhile is not searched for: it stays
// until its turn, or until such leftovers are the larger part.
type ageHeap struct {
	items  agedItems
	wanted int // how many of the items still stand for something held
}

// push adds an item. wanted says of any item whether it still stands for something.
func (h *ageHeap) push(a aged, wanted func(aged) bool) {
	if n := len(h.items); n > 2*h.wanted+256 {
		kept := h.items[:0]
		for _, it := range h.items {
			if wanted(it) {
				kept = append(kept, it)
			}
		}
		clear(h.items[len(kept):])
		h.items = kept
		heap.Init(&h.items)
	}
	heap.Push(&h.items, a)
}

// first returns the earliest item without removing it.
func (h *ageHeap) first() (aged, bool) {
	if len(h.items) == 0 {
		return aged{}, false
	}
	return h.items[0], true
}

func (h *ageHeap) pop() { heap.Pop(&h.items) }

type agedItems []aged

func (h *agedItems) Len() int           { return len(*h) }
func (h *agedItems) Less(i, j int) bool { return (*h)[i].at < (*h)[j].at }
func (h *agedItems) Swap(i, j int)      { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *agedItems) Push(x any)         { *h = append(*h, x.(aged)) }

func (h *agedItems) Pop() any {
	n := len(*h) - 1
	x := (*h)[n]
	(*h)[n] = aged{}
	*h = (*h)[:n]
	return x
}
