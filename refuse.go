package podshare

import (
	"maps"
	"time"
)

// refusals are the dots of each origin that this replica could not take: too large, undecodable. They stay
// uncovered, a reported hole, and are asked for again with back-off.
type refusals map[origin]*refusal

type refusal struct {
	dots    seqSet
	retry   int64 // monotonic ns from which they are asked for again
	backOff int64
}

// refusedKeys names the keys of refused writes. Such a key keeps its old value here: that the old write is
// gone elsewhere is because of the one that is refused. It is bounded; a key beyond loses its value when the
// next full comparison finds it gone.
type refusedKeys map[string]dot

const maxRefusedKeys = 10_000

// refuseKey notes that a write of a key is refused.
func (r *replica[T]) refuseKey(key []byte, d dot) {
	if len(r.refusedKeys) >= maxRefusedKeys {
		maps.DeleteFunc(r.refusedKeys, func(_ string, d dot) bool { return r.origins.covers(d) })
	}
	if len(r.refusedKeys) < maxRefusedKeys {
		r.refusedKeys[string(key)] = d
	}
}

// keepsOld reports whether a write of the key is refused at this moment.
func (r *replica[T]) keepsOld(key string) bool {
	d, ok := r.refusedKeys[key]
	if ok && r.origins.covers(d) {
		delete(r.refusedKeys, key)
		return false
	}
	return ok
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
	f.backOff = min(max(2*f.backOff, minRefusalBackOff), int64(maxBackOff))
	f.retry = at.mono + f.backOff
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
