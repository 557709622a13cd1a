package podshare

// recentWrites remembers where the newest dots are held, in order of arrival, so that a repair of what was
// missed lately reads these instead of scanning everything.
type recentWrites struct {
	ring  []recentWrite
	start int // index of the oldest once the ring is full
	gone  map[origin]uint64
}

// recentWrite has the hash of the key, see [cells.Map.WithHash]. With the key itself, which the collector follows and
// every store to the ring must tell it of, the ring took a tenth of a Set.
type recentWrite struct {
	hash uint64
	dot  dot
}

// maxRecent bounds the ring: 24 bytes each, 0.8 MB when full.
const maxRecent = 1 << 15

func (r *recentWrites) add(hash uint64, d dot) {
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, recentWrite{hash, d})
		return
	}
	old := &r.ring[r.start]
	if r.gone == nil {
		r.gone = map[origin]uint64{}
	}
	r.gone[old.dot.origin] = max(r.gone[old.dot.origin], old.dot.seq)
	*old = recentWrite{hash, d}
	r.start = (r.start + 1) % maxRecent
}

// since reports whether all writes of o with these sequence numbers that are held are in the ring.
func (r *recentWrites) since(o origin, runs []span) bool {
	return len(runs) == 0 || runs[0].First > r.gone[o]
}

// remember notes the writes that next, whose key has the given hash, holds and cur did not.
func (r *replica[T]) remember(hash uint64, cur, next *entry[T]) {
	if next.Val.ext == nil || next.Val.ext.join == nil {
		if cur == nil || cur.Val.dot() != next.Val.dot() {
			r.recent.add(hash, next.Val.dot())
		}
		return
	}
	for p := range r.parts(next) {
		if _, known := r.holds(cur, p.dot()); !known {
			r.recent.add(hash, p.dot())
		}
	}
}
