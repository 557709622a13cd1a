package crdt

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Stamp is when and by whom something was written. Stamps are ordered by time, and under one time by node. The zero
// Stamp is 1970, by nobody.
type Stamp struct {
	ns   int64 // since 1970
	node string
}

// NewStamp returns the stamp of a write at a time by a node. No two writes should have the same: see [Replica.Stamp],
// which takes care of that. Times that do not fit into 64 bits of nanoseconds, before 1678 and after 2262, become the
// nearest that do.
func NewStamp(at time.Time, node string) Stamp {
	switch {
	case at.Before(time.Unix(0, math.MinInt64)):
		return Stamp{math.MinInt64, node}
	case at.After(time.Unix(0, math.MaxInt64)):
		return Stamp{math.MaxInt64, node}
	}
	return Stamp{at.UnixNano(), node}
}

// Time returns when.
func (s Stamp) Time() time.Time { return time.Unix(0, s.ns).UTC() }

// Node returns by whom.
func (s Stamp) Node() string { return s.node }

// Compare returns −1 if s is before o, 1 if it is after o, else 0.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.ns, o.ns), cmp.Compare(s.node, o.node))
}

// after returns s, or if that is not after o, the earliest stamp of its node that is.
func (s Stamp) after(o Stamp) Stamp {
	switch {
	case s.Compare(o) > 0:
		return s
	case s.node > o.node:
		return Stamp{o.ns, s.node}
	case o.ns == math.MaxInt64: // in the year 2262
		return Stamp{o.ns, o.node + "\x00"}
	}
	return Stamp{o.ns + 1, s.node}
}

// String returns time and node.
func (s Stamp) String() string {
	return fmt.Sprintf("%s %s", s.Time().Format(time.RFC3339Nano), s.node)
}
