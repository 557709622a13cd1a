package wire

import "bytes"

// Records is a list of records under construction, encoded, with the table of origins that they name. The zero
// value is not ready: Reset names the sender. A Records copies what it is given, and keeps its memory for the
// next Reset. It is not safe for concurrent use.
type Records struct {
	buf   []byte // the records, encoded
	count int

	table   []byte        // the origins, encoded, the sender first
	origins []tableOrigin // where they are in table
	index   map[originKey]uint32
}

// tableOrigin is an origin whose node is table[start:end] of its Records.
type tableOrigin struct {
	boot       uint64
	start, end int
}

type originKey struct {
	node string
	boot uint64
}

// maxScan is the number of origins up to which a scan, which mostly compares boots alone, beats the map.
const maxScan = 16

// Reset empties the list. The origin given is the sender of the frame that the list is for: it has the index 0.
func (r *Records) Reset(node []byte, boot uint64) {
	r.table, r.origins = r.table[:0], r.origins[:0]
	r.addOrigin(node, boot)
	r.Clear()
}

// Clear is Reset that keeps the sender.
func (r *Records) Clear() {
	r.buf, r.count = r.buf[:0], 0
	r.table, r.origins = r.table[:r.origins[0].end+uint64Bytes], r.origins[:1]
	if len(r.index) > 0 {
		clear(r.index)
	}
}

// Index returns the index by which records of this list name an origin. It adds the origin if it is new.
func (r *Records) Index(node []byte, boot uint64) uint32 {
	if len(r.origins) <= maxScan {
		for i := range r.origins {
			o := &r.origins[i]
			if o.boot == boot && bytes.Equal(r.table[o.start:o.end], node) {
				return uint32(i)
			}
		}
	} else if i, ok := r.index[originKey{string(node), boot}]; ok {
		return i
	}
	return r.addOrigin(node, boot)
}

func (r *Records) addOrigin(node []byte, boot uint64) uint32 {
	i := len(r.origins)
	r.table = appendOrigin(r.table, node, boot)
	end := len(r.table) - uint64Bytes
	r.origins = append(r.origins, tableOrigin{boot: boot, start: end - len(node), end: end})
	switch {
	case i == maxScan:
		r.indexOrigins(0)
	case i > maxScan:
		r.indexOrigins(i)
	}
	return uint32(i)
}

// indexOrigins puts the origins from the given one on into the map.
func (r *Records) indexOrigins(from int) {
	if r.index == nil {
		r.index = make(map[originKey]uint32, 4*maxScan)
	}
	for i := from; i < len(r.origins); i++ {
		o := &r.origins[i]
		r.index[originKey{string(r.table[o.start:o.end]), o.boot}] = uint32(i)
	}
}

// Add appends a record. FlagDeadline, FlagReplaced and FlagBatch are derived from the fields; its origins are
// indices that Index returned since the last Reset, or 0.
func (r *Records) Add(rec *Record) {
	r.buf = rec.append(r.buf)
	r.count++
}

// Count returns the number of records.
func (r *Records) Count() int { return r.count }

// Len returns the number of bytes that the list takes in a frame which is not compressed, its table included.
func (r *Records) Len() int {
	return arrayHeadLen(r.named()) + len(r.namedTable()) + arrayHeadLen(r.count) + len(r.buf)
}

// append appends the fields of a RecordList.
func (r *Records) append(b []byte) []byte {
	b = append(appendArray(b, r.named()), r.namedTable()...)
	return append(appendArray(b, r.count), r.buf...)
}

// named returns the number of origins but for the sender, which the header of the frame names.
func (r *Records) named() int { return len(r.origins) - 1 }

// namedTable returns the encoded origins but for the sender.
func (r *Records) namedTable() []byte { return r.table[r.origins[0].end+uint64Bytes:] }
