package wire

// VectorEntry says what a replica has seen of one origin.
//
//	array(4+2n)  boot u64 | node hash u64 | head uint | mark uint | n × (first uint | last uint)
type VectorEntry struct {
	ID    ID
	Head  uint64 // all writes from 1 to Head are covered, 0 to MaxSeq
	Mark  uint64 // the highest write whose tombstone was collected, 0 to MaxSeq
	Spans []Span // covered above the head; Spans[0].First > Head+1
}

const (
	vectorEntryFields   = 4
	minVectorEntryBytes = 1 + vectorEntryFields
)

// appendVector appends an array of entries.
func appendVector(b []byte, vector []VectorEntry) []byte {
	b = appendArray(b, len(vector))
	for i := range vector {
		e := &vector[i]
		b = appendArray(b, vectorEntryFields+2*len(e.Spans))
		b = appendIDFields(b, e.ID)
		b = appendUint(b, e.Head)
		b = appendUint(b, e.Mark)
		b = appendSpans(b, e.Spans)
	}
	return b
}

// vector takes an array of entries into vector, whose contents are replaced, and appends their spans to arena.
func (r *reader) vector(vector []VectorEntry, arena []Span) (entries []VectorEntry, grown []Span) {
	n := r.array(minVectorEntryBytes, "vector")
	vector = vector[:0]
	for ; n > 0 && r.ok(); n-- {
		fields := r.array(1, "vector entry")
		if fields < vectorEntryFields {
			r.fail("vector entry")
		}
		e := VectorEntry{
			ID:   r.idFields("vector id"),
			Head: r.head("vector head"),
			Mark: r.head("vector mark"),
		}
		if r.ok() {
			e.Spans, arena = r.spans(arena, fields-vectorEntryFields, e.Head+2, "vector spans")
			vector = append(grow(vector, n), e)
		}
	}
	return vector, arena
}
