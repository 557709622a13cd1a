package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// Stored state may be kept in rows: one for each key, one for each origin of the vector, and one that describes the
// whole. A row has a name and a head, which says what a merge must know; the row of a key has a body too, a snapshot
// frame with the records of that key. A head is one msgpack array that ends in a checksum of the row's name and of
// itself, so that neither foreign bytes nor a row under another's name are taken for one:
//
//	array(n+1)  n elements | uint 32: CRC-32C of the name and all bytes of the head before the ce

// RowPart is a write in the head of a key's row.
//
//	boot u64 | node hash u64 | seq uint | flags uint
type RowPart struct {
	ID    ID
	Seq   uint64 // 1 to MaxSeq
	State Flags  // FlagDelete, FlagExpired, FlagLapsed, or none: live
}

const rowPartFields = 4

// AppendRowHead appends the head of a key's row: four elements for each write that it holds.
func AppendRowHead(dst, key []byte, parts []RowPart) []byte {
	start := len(dst)
	b := appendArray(dst, rowPartFields*len(parts)+1)
	for i := range parts {
		p := &parts[i]
		b = appendUint(appendUint(appendIDFields(b, p.ID), p.Seq), uint64(p.State&flagsDead))
	}
	return sealHead(b, start, key)
}

// ParseRowHead appends the writes in the head of a key's row to parts.
func ParseRowHead(parts []RowPart, key, head []byte) ([]RowPart, error) {
	r, n, err := openHead(key, head)
	if err != nil {
		return parts, err
	}
	if n%rowPartFields != 0 || n == 0 {
		r.fail("row")
	}
	for ; n > 0 && r.ok(); n -= rowPartFields {
		p := RowPart{ID: r.idFields("row id"), Seq: r.seq("row seq"), State: Flags(r.flags(uint64(flagsDead), "row state"))}
		if p.State&(p.State-1) != 0 {
			r.fail("row state")
		}
		parts = append(parts, p)
	}
	return parts, r.end()
}

// VectorRowName is the name of an origin's row: boot and node hash, 16 bytes, big-endian.
func VectorRowName(id ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, id.Boot), id.Node)
}

// AppendVectorHead appends the head of an origin's row, named by [VectorRowName].
//
//	head uint | mark uint | n × (first uint | last uint)
func AppendVectorHead(dst []byte, e *VectorEntry) []byte {
	start := len(dst)
	b := appendArray(dst, 2+2*len(e.Spans)+1)
	b = appendSpans(appendUint(appendUint(b, e.Head), e.Mark), e.Spans)
	return sealHead(b, start, VectorRowName(e.ID))
}

// ParseVectorHead reads the row of an origin.
func ParseVectorHead(name, head []byte) (VectorEntry, error) {
	r, n, err := openHead(name, head)
	if err != nil {
		return VectorEntry{}, err
	}
	if len(name) != 16 || n < 2 {
		return VectorEntry{}, &FormatError{Field: "vector row"}
	}
	e := VectorEntry{
		ID:   ID{Boot: binary.BigEndian.Uint64(name), Node: binary.BigEndian.Uint64(name[8:])},
		Head: r.head("vector row head"),
		Mark: r.head("vector row mark"),
	}
	if r.ok() {
		e.Spans, _ = r.spans(nil, n-2, e.Head+2, "vector row spans")
	}
	return e, r.end()
}

// TableHead describes stored state that is kept in rows. The name of its row is empty. It stands among those of the
// vector and, the same, among those of the keys: what differs there was not stored together.
//
//	version uint | table u64 | floor u64 | codec str
type TableHead struct {
	Version uint8  // of the rows: Version
	Table   uint64 // drawn at random when the table was begun: after a loss it is another one
	Floor   int64  // as in Snapshot
	Codec   []byte // which encoded the values
}

// AppendTableHead appends the head of the row that describes the table. The version is the one that this package writes.
func AppendTableHead(dst []byte, t *TableHead) []byte {
	start := len(dst)
	b := appendArray(dst, 4+1)
	b = appendUint64(appendUint64(appendUint(b, uint64(Version)), t.Table), uint64(t.Floor))
	b = appendStr(b, t.Codec)
	return sealHead(b, start, nil)
}

// ParseTableHead reads the row that describes the table. The error is ErrVersion for one of a newer version.
func ParseTableHead(head []byte) (TableHead, error) {
	r, n, err := openHead(nil, head)
	if err != nil {
		return TableHead{}, err
	}
	t := TableHead{Version: uint8(r.atMost(0xff, "table version"))}
	if r.ok() && t.Version > Version {
		return t, ErrVersion
	}
	if n != 4 || t.Version == 0 {
		r.fail("table")
	}
	t.Table = r.uint64("table id")
	t.Floor, t.Codec = r.stamp("table floor"), r.str("table codec")
	return t, r.end()
}

// sealHead ends the head b[start:] of a row.
func sealHead(b []byte, start int, name []byte) []byte {
	sum := headSum(name, b[start:])
	return append(b, codeUint32, byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
}

// openHead checks a head, and returns a reader of its n elements.
func openHead(name, head []byte) (r reader, n int, err error) {
	end := len(head) - trailerBytes
	if end < 1 || head[end] != codeUint32 || binary.BigEndian.Uint32(head[end+1:]) != headSum(name, head[:end]) {
		return r, 0, ErrCorrupt
	}
	r = reader{b: head}
	n = r.array(1, "row") - 1
	r.b = head[:end]
	return r, n, nil
}

func headSum(name, head []byte) uint32 {
	return crc32.Update(crc32.Checksum(name, castagnoli), castagnoli, head)
}
