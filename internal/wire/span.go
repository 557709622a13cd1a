package wire

// Span is an inclusive run of sequence numbers, 1 ≤ First ≤ Last ≤ MaxSeq.
//
// A list of spans is ascending, and between two of them at least one number is missing.
type Span struct{ First, Last uint64 }

// appendSpans appends the elements of a list of spans, without the head of an array: first uint | last uint …
func appendSpans(b []byte, spans []Span) []byte {
	for _, s := range spans {
		b = appendUint(appendUint(b, s.First), s.Last)
	}
	return b
}

// spans takes n elements of an array, two for each span, and appends the spans to arena. The first one must
// begin at first or later.
func (r *reader) spans(arena []Span, n int, first uint64, field string) (spans, grown []Span) {
	if n%2 != 0 {
		r.fail(field)
		return nil, arena
	}
	start := len(arena)
	for ; n > 0; n -= 2 {
		s := Span{First: r.seq(field), Last: r.seq(field)}
		if s.First < first || s.Last < s.First {
			r.fail(field)
		}
		if !r.ok() {
			return nil, arena
		}
		arena = append(growArena(arena, n/2), s)
		first = s.Last + 2
	}
	if start == len(arena) {
		return nil, arena
	}
	// Spans of earlier lists stay in the array that arena had before it grew.
	return arena[start:len(arena):len(arena)], arena
}
