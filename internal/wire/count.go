package wire

// Count says how often one pod has merged its state into a stored snapshot.
//
//	array(3)  boot u64 | node hash u64 | n uint
type Count struct {
	ID ID
	N  uint64
}

const (
	countFields   = 3
	minCountBytes = 1 + countFields
)

// appendCounts appends an array of counts.
func appendCounts(b []byte, counts []Count) []byte {
	b = appendArray(b, len(counts))
	for i := range counts {
		b = appendArray(b, countFields)
		b = appendIDFields(b, counts[i].ID)
		b = appendUint(b, counts[i].N)
	}
	return b
}

// counts takes an array of counts into counts, whose contents are replaced.
func (r *reader) counts(counts []Count) []Count {
	n := r.array(minCountBytes, "counts")
	counts = counts[:0]
	for ; n > 0 && r.ok(); n-- {
		r.arrayOf(countFields, "count")
		counts = append(grow(counts, n), Count{ID: r.idFields("count id"), N: r.uint("count")})
	}
	return counts
}
