package wire

// Data carries writes to every pod.
//
//	origins | records                       (see RecordList)
type Data struct{ RecordList }

const dataFields = recordListFields

// DataBytes bounds what AppendData appends.
func DataBytes(h *Header, r *Records) int { return h.maxBytes() + r.Len() + trailerBytes }

// AppendData appends a data frame with the records of r, which was Reset with the sender that h names.
func AppendData(dst []byte, h *Header, r *Records, compress bool) []byte {
	start := len(dst)
	b := begin(dst, h, KindData)
	b = r.append(b)
	return seal(b, start, compress)
}

// Parse parses the body of a data frame.
func (m *Data) Parse(body []byte) error {
	r := reader{b: body}
	r.recordList(&m.RecordList)
	return r.end()
}
