package podshare

import (
	"errors"
	"maps"
	"time"
)

// refusals are the dots of each origin that this replica could not take: too large, undecodable. They stay
// uncovered, a reported hole, and are asked for again with back-off.
type refusals map[origin]*refusal

type refusal struct {
	dots    seqSet
	known   uint64 // what is missing up to this one is in dots
	retry   int64  // monotonic ns from which they are asked for again
	backOff int64
}

// refusedKeys holds, for the keys of refused writes, the newest of these. Such a key keeps its old value
// here: that the old write is gone elsewhere is because of the one that is refused. And what is ordered
// before that one is kept out: it is dead elsewhere, as far as anybody knows. The map is bounded; a key
// beyond is treated as if nothing of it had been refused.
type refusedKeys map[string]write

const maxRefusedKeys = 10_000

// errOutdated marks an update that a refused one supersedes. It is refused with it, and nobody is told.
var errOutdated = errors.New("podshare: superseded by a refused write")

// refuseKey notes that a write of a key is refused.
func (r *replica[T]) refuseKey(key []byte, w *write) {
	if old, ok := r.refusedKeys[string(key)]; ok {
		if r.origins.older(&old, w) {
			r.refusedKeys[string(key)] = *w
		}
		return
	}
	if len(r.refusedKeys) >= maxRefusedKeys && !r.refusedFull {
		maps.DeleteFunc(r.refusedKeys, func(_ string, w write) bool { return r.origins.covers(w.dot()) })
		r.refusedFull = len(r.refusedKeys) >= maxRefusedKeys // not to be swept for each further one
	}
	if len(r.refusedKeys) < maxRefusedKeys {
		r.refusedKeys[string(key)] = *w
	}
}

// refusedWrite returns the newest refused write of a key, if it is still refused.
func (r *replica[T]) refusedWrite(key []byte) (write, bool) {
	w, ok := r.refusedKeys[string(key)]
	if ok && r.origins.covers(w.dot()) {
		delete(r.refusedKeys, string(key))
		return write{}, false
	}
	return w, ok
}

// outdated reports whether a refused write of the key supersedes an update. With a Merger none does: every
// write counts.
func (r *replica[T]) outdated(u *update[T]) bool {
	if len(r.refusedKeys) == 0 || r.cfg.merge != nil {
		return false
	}
	w, ok := r.refusedWrite(u.key)
	return ok && r.origins.older(&u.write, &w)
}

const minRefusalBackOff = int64(10 * time.Second)

// refuse notes dots that were just refused.
func (r *replica[T]) refuse(at instant, o origin, dots *seqSet) {
	f := r.refused[o]
	if f == nil {
		f = &refusal{}
		r.refused[o] = f
	}
	for _, run := range dots.runs() {
		for _, part := range r.origins.at(o).seen.missing(run) {
			f.dots.add(part.First, part.Last)
		}
	}
	if at.mono >= f.retry {
		f.backOff = min(max(2*f.backOff, minRefusalBackOff), int64(maxBackOff))
		f.retry = at.mono + f.backOff
		r.refusedFull = false
	}
	r.count.refused++
}

// pretended is what a want says of an origin some of whose dots are refused: as if they had been seen, so
// that they are not sent again and again; the truth when it is time to retry. Only a want may pretend: a
// vector that others adopt from must not, for they would take the absence for a delete.
func (r *replica[T]) pretended(at instant, o origin) *seqSet {
	seen := r.origins.at(o).seen.clone()
	f := r.refused[o]
	if f == nil {
		return &seen
	}
	if seen.includes(&f.dots) {
		delete(r.refused, o)
		return &seen
	}
	if at.mono < f.retry {
		seen.join(&f.dots, nil)
	}
	return &seen
}
