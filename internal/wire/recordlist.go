package wire

// RecordList is a list of received records with the table of origins that they name.
//
//	origins [[node str, boot u64] …] | records [record …]
type RecordList struct {
	Records []Record
	Origins []Origin // those with the indices 1, 2, …; index 0 is the sender of the frame
	dots    []Dot    // the arena of Record.Replaced
}

const recordListFields = 2

// recordList takes the fields of a list into l, whose contents are replaced. Its slices are reused; keys, values
// and nodes point into the input.
func (r *reader) recordList(l *RecordList) {
	oldRecords, oldOrigins := len(l.Records), len(l.Origins)
	l.Records, l.Origins, l.dots = l.Records[:0], l.Origins[:0], l.dots[:0]

	n := r.array(minOriginBytes, "origins")
	for ; n > 0 && r.ok(); n-- {
		l.Origins = append(grow(l.Origins, n), r.origin())
	}

	maxOrigin := uint64(len(l.Origins))
	n = r.array(minRecordBytes, "records")
	for ; n > 0 && r.ok(); n-- {
		l.Records = append(grow(l.Records, n), Record{})
		l.dots = r.record(&l.Records[len(l.Records)-1], maxOrigin, l.dots)
	}

	clearTail(l.Records, oldRecords)
	clearTail(l.Origins, oldOrigins)
}

// clearTail zeroes what a slice with old elements still has beyond its present length, because a message at rest
// in a pool must not keep an old frame alive.
func clearTail[T any](s []T, old int) {
	if len(s) < old {
		clear(s[len(s):old])
	}
}
