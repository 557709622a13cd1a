package podshare

// recentWrites remembers where the newest dots are held, in order of arrival, so that a repair of what was
// missed lately reads these instead of scanning everything.
type recentWrites struct {
	ring  []recentWrite
	start int // index of the oldest once the ring is full
	gone  map[origin]uint64
}

type recentWrite struct {
	key string
	dot dot
}

// maxRecent bounds the ring: 40 bytes each, 1.3 MB when full.
const maxRecent = 1 << 15

func (r *recentWrites) add(key string, d dot) {
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, recentWrite{key, d})
		return
	}
	old := &r.ring[r.start]
	if r.gone == nil {
		r.gone = map[origin]uint64{}
	}
	r.gone[old.dot.origin] = max(r.gone[old.dot.origin], old.dot.seq)
	*old = recentWrite{key, d}
	r.start = (r.start + 1) % maxRecent
}

// since reports whether all writes of o with these sequence numbers that are held are in the ring.
func (r *recentWrites) since(o origin, runs []span) bool {
	return len(runs) == 0 || runs[0].First > r.gone[o]
}

// remember notes the writes that next holds and cur did not.
func (r *replica[T]) remember(cur, next *entry[T]) {
	if next.Val.ext == nil || next.Val.ext.join == nil {
		if cur == nil || cur.Val.dot() != next.Val.dot() {
			r.recent.add(next.Key, next.Val.dot())
		}
		return
	}
	for p := range r.parts(next) {
		if _, known := r.holds(cur, p.dot()); !known {
			r.recent.add(next.Key, p.dot())
		}
	}
}
