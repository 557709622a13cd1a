package wire

// HeldEntry lists the writes of one origin that a replica holds, for a full comparison.
//
//	array(4)  boot u64 | node hash u64 | live [first uint, last uint …] | dead [first uint, last uint …]
type HeldEntry struct {
	ID   ID
	Live []Span // entries
	Dead []Span // tombstones
}

const (
	heldEntryFields   = 4
	minHeldEntryBytes = 1 + heldEntryFields
)

// appendHeld appends an array of entries.
func appendHeld(b []byte, held []HeldEntry) []byte {
	b = appendArray(b, len(held))
	for i := range held {
		e := &held[i]
		b = appendArray(b, heldEntryFields)
		b = appendIDFields(b, e.ID)
		b = appendSpans(appendArray(b, 2*len(e.Live)), e.Live)
		b = appendSpans(appendArray(b, 2*len(e.Dead)), e.Dead)
	}
	return b
}

// held takes an array of entries into held, whose contents are replaced, and appends their spans to arena.
func (r *reader) held(held []HeldEntry, arena []Span) (entries []HeldEntry, grown []Span) {
	n := r.array(minHeldEntryBytes, "held")
	held = held[:0]
	for ; n > 0 && r.ok(); n-- {
		r.arrayOf(heldEntryFields, "held entry")
		e := HeldEntry{ID: r.idFields("held id")}
		e.Live, arena = r.spans(arena, r.array(1, "held live"), 1, "held live")
		e.Dead, arena = r.spans(arena, r.array(1, "held dead"), 1, "held dead")
		held = append(grow(held, n), e)
	}
	return held, arena
}
