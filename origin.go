package podshare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// origin names one run of one store inside a replica: an index into its origins. An entry carries this
// small number instead of a node name.
type origin uint32

// self is the origin of the replica's own writes.
const self origin = 0

// dot names one write: the seq-th of its origin, counted from 1 without holes.
type dot struct {
	origin origin
	seq    uint64
}

// originState is what a replica knows of one origin.
//
// Invariant: mark ≤ seen.max().
type originState struct {
	id   wire.ID
	node string // "" while only its number is known, from another pod's vector

	seen seqSet // the dots that are covered: live here, or dead
	mark uint64 // the highest dot of it whose tombstone was collected, here or at a pod joined with

	held      int  // writes of it that are in the index, dead ones too
	forgotten bool // see origins.forgetOldest: all of its dots count as seen, and none is told of

	sum   uint64 // hash of seen as counted in origins.vectorSum
	dirty bool   // seen changed since sum was counted

	skewReported int64 // monotonic ns of the last report of a stamp far ahead; 0: never

	peer *peer // liveness, once a frame came from it; nil for an origin known by hearsay only
}

// origins is the version vector of a replica, with what it knows of each origin.
type origins struct {
	list      []*originState
	byID      map[wire.ID]origin
	changed   []origin // those with dirty set
	vectorSum uint64   // Σ hash(seen), order-independent; see vectorHash
	oneClass  bool     // ruleSeedsBelowWrites is off

	limit     int // how many are remembered
	active    int // how many are: those not forgotten
	forgotten int // how many were forgotten
}

func newOrigins(node string, boot uint64, limit int) origins {
	os := origins{byID: map[wire.ID]origin{}, limit: limit}
	os.intern(wire.ID{Boot: boot, Node: wire.HashNode([]byte(node))}, node)
	return os
}

// intern returns the number of an origin, a new one if it was unknown.
func (os *origins) intern(id wire.ID, node string) origin {
	o, ok := os.byID[id]
	if !ok {
		o = origin(len(os.list))
		os.list = append(os.list, &originState{id: id, node: node})
		os.byID[id] = o
		os.active++
	} else if os.list[o].node == "" {
		os.list[o].node = node
	}
	return o
}

// forgetOldest drops, beyond the limit, the dots of the origins with the lowest boots among those that are
// silent, hold nothing and started before a time, so that vectors do not grow with every deploy for ever.
// What they wrote is not learned again by this run, unless one of them is heard after all. Pods forget the
// same ones, more or less, for they forget by boot. A pod that was away for so many deploys and still holds
// a write of a forgotten origin that was deleted meanwhile can bring that back to a pod that started since:
// that is the price, and why the limit is high.
func (os *origins) forgetOldest(before uint64) {
	excess := os.active - os.limit
	if excess <= 0 {
		return
	}
	var silent []*originState
	for i, st := range os.list {
		if origin(i) != self && !st.forgotten && st.held == 0 && st.id.Boot < before && (st.peer == nil || !st.peer.live) {
			silent = append(silent, st)
		}
	}
	slices.SortFunc(silent, func(a, b *originState) int { return cmp.Compare(a.id.Boot, b.id.Boot) })
	os.vectorHash() // nothing is dirty after it
	for _, st := range silent[:min(excess, len(silent))] {
		os.vectorSum -= st.sum
		st.seen, st.mark, st.sum, st.forgotten = seqSet{}, 0, 0, true
		os.active--
		os.forgotten++
	}
}

// remember takes an origin that is heard out of those forgotten. What it wrote is repaired.
func (os *origins) remember(st *originState) {
	if st.forgotten {
		st.forgotten = false
		os.active++
	}
}

func (os *origins) at(o origin) *originState { return os.list[o] }

func (os *origins) covers(d dot) bool {
	st := os.list[d.origin]
	return st.seen.covers(d.seq) || st.forgotten
}

// cover marks the dots first to last of o as seen.
func (os *origins) cover(o origin, first, last uint64) {
	if st := os.list[o]; !st.forgotten {
		st.seen.add(first, last)
		os.touched(o, st)
	}
}

// touched notes that the seen set of an origin changed.
func (os *origins) touched(o origin, st *originState) {
	if !st.dirty {
		st.dirty = true
		os.changed = append(os.changed, o)
	}
}

// vectorHash is a fingerprint of the whole vector. Two replicas that have seen the same writes have the
// same one. It costs as much as origins changed since the last call.
func (os *origins) vectorHash() uint64 {
	for _, o := range os.changed {
		st := os.list[o]
		sum := st.seen.hash(st.id.Boot ^ mix(st.id.Node, 1))
		os.vectorSum += sum - st.sum
		st.sum, st.dirty = sum, false
	}
	os.changed = os.changed[:0]
	return os.vectorSum
}

// name describes an origin in errors and traces.
func (os *origins) name(o origin) string {
	st := os.list[o]
	return fmt.Sprintf("%s (boot %x)", st.node, st.id.Boot)
}
