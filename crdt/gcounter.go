package crdt

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// GCounter is a counter that only grows: a total for each node, of which Merge takes the larger. Its value is
// their sum.
//
// A node adds to its own total only, and with Update: two goroutines that read 5 and both Set 6 have counted once.
//
//	err := visits.Update(ctx, "home", func(c crdt.GCounter, _ bool) (crdt.GCounter, bool) {
//		return c.Add(replica.ID(), 1), true
//	})
//
// A pod that keeps its total in memory needs neither lock nor reading, for a total that arrives late is ignored:
//
//	total := served.Add(1)                                                      // an atomic.Uint64
//	err := visits.Set(ctx, "home", crdt.GCounter{}.Add(replica.ID(), total))
//
// See the package comment for what makes a good name of a node: one that restarts from zero under its old
// name adds in vain until it has passed its old total.
//
// A Delete of the key takes away the totals that it knew, and so a counter restarts from zero. It does
// not take away what a pod writes after it: a pod that keeps its total in memory, or that adds to a value it
// read before the Delete, brings its whole total back, and with the value it read the totals of others as they were
// in it. A pod that reads again after the Delete counts from zero; should a write from beside the Delete
// then bring back its larger old total, the larger counts and what it added since is part of it, not on top. To
// count per period use a key per period, such as "visits/2026-03", and delete those that are past.
type GCounter struct {
	totals []total // by node; none is 0
}

// total is what a node has added so far.
type total struct {
	node string
	n    uint64
}

func compareTotals(a, b total) int { return cmp.Compare(a.node, b.node) }

func largerTotal(a, b total) total { return total{a.node, max(a.n, b.n)} }

// Add returns c with n more for the node. A total stops at 2⁶⁴−1.
func (c GCounter) Add(node string, n uint64) GCounter {
	if n == 0 {
		return c
	}
	return GCounter{with(c.totals, total{node, n}, compareTotals, func(old, more total) total {
		return total{node, addSaturating(old.n, more.n)}
	})}
}

// Value returns the sum of all nodes' totals. It stops at 2⁶⁴−1.
func (c GCounter) Value() uint64 {
	sum := uint64(0)
	for _, t := range c.totals {
		sum = addSaturating(sum, t.n)
	}
	return sum
}

// Of returns what a node has added.
func (c GCounter) Of(node string) uint64 {
	i, found := slices.BinarySearchFunc(c.totals, total{node: node}, compareTotals)
	if !found {
		return 0
	}
	return c.totals[i].n
}

// Merge returns the larger total of each node.
func (c GCounter) Merge(o GCounter) GCounter {
	return GCounter{union(c.totals, o.totals, compareTotals, largerTotal)}
}

// MarshalJSON writes {"node": total}, by node.
func (c GCounter) MarshalJSON() ([]byte, error) {
	m := make(map[string]uint64, len(c.totals))
	for _, t := range c.totals {
		if err := checkText(t.node); err != nil {
			return nil, err
		}
		m[t.node] = t.n
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON writes. A negative total is an error.
func (c *GCounter) UnmarshalJSON(b []byte) error {
	var m map[string]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	totals := make([]total, 0, len(m))
	for node, n := range m {
		totals = append(totals, total{node, n})
	}
	*c = counterOf(totals)
	return nil
}

// EncodeMsgpack writes [node, total, …].
func (c GCounter) EncodeMsgpack(enc *msgpack.Encoder) error {
	if err := enc.EncodeArrayLen(2 * len(c.totals)); err != nil {
		return err
	}
	for _, t := range c.totals {
		if err := enc.EncodeString(t.node); err != nil {
			return err
		}
		if err := enc.EncodeUint(t.n); err != nil {
			return err
		}
	}
	return nil
}

// DecodeMsgpack reads what EncodeMsgpack writes. A negative total is an error.
func (c *GCounter) DecodeMsgpack(dec *msgpack.Decoder) error {
	n, err := decodePairs(dec)
	if err != nil {
		return err
	}
	var totals []total
	for range n {
		node, err := decodeString(dec)
		if err != nil {
			return err
		}
		n, err := decodeUint(dec)
		if err != nil {
			return err
		}
		totals = append(totals, total{node, n})
	}
	*c = counterOf(totals)
	return nil
}

// counterOf takes over totals in any order.
func counterOf(totals []total) GCounter {
	totals = slices.DeleteFunc(totals, func(t total) bool { return t.n == 0 })
	return GCounter{normalised(totals, compareTotals, largerTotal)}
}
