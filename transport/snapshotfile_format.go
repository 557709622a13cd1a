package transport

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"
)

// A snapshot file, numbers big-endian:
//
//	0   7  "podsnap"
//	7   1  format, 1
//	8   8  length of data
//	16  4  CRC-32C of bytes 0 to 15, the topic, and data
//	20     data
const (
	snapshotMagic       = "podsnap\x01"
	snapshotHeaderBytes = 20
)

// snapshotFileHeader returns what stands before data.
func snapshotFileHeader(topic string, data []byte) []byte {
	h := append(make([]byte, 0, snapshotHeaderBytes), snapshotMagic...)
	h = binary.BigEndian.AppendUint64(h, uint64(len(data)))
	return binary.BigEndian.AppendUint32(h, snapshotChecksum(h, topic, data))
}

func snapshotChecksum(start []byte, topic string, data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum(start, table)
	sum = crc32.Update(sum, table, []byte(topic))
	return crc32.Update(sum, table, data)
}

// parseSnapshotFile returns the data of a file, a part of it that is not nil.
func parseSnapshotFile(topic string, file []byte) ([]byte, error) {
	if len(file) < snapshotHeaderBytes || string(file[:8]) != snapshotMagic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrSnapshotDamaged)
	}
	data := file[snapshotHeaderBytes:]
	if n := binary.BigEndian.Uint64(file[8:]); n != uint64(len(data)) {
		return nil, fmt.Errorf("%w: it has %d bytes of %d", ErrSnapshotDamaged, len(data), n)
	}
	if binary.BigEndian.Uint32(file[16:]) != snapshotChecksum(file[:16], topic, data) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrSnapshotDamaged)
	}
	return data, nil
}

// longestEscaped is how long an escaped topic may be, in bytes: most file systems allow names of 255, and
// prefix, hash and suffixes need some.
const longestEscaped = 160

// snapshotFileName returns the file name of a topic: different for all topics on any file system, also where
// case or Unicode forms are not told apart, and readable if the topic is. Everything but a-z, 0-9, '-' and '_'
// is written %xx. The end of what gets too long is replaced by '~' and the SHA-256 of the topic.
func snapshotFileName(topic string) string {
	var b strings.Builder
	for _, c := range []byte(topic) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	name := b.String()
	if len(name) > longestEscaped {
		sum := sha256.Sum256([]byte(topic))
		name = name[:longestEscaped-1-hex.EncodedLen(len(sum))] + "~" + hex.EncodeToString(sum[:])
	}
	return "topic-" + name + ".snapshot" // with a prefix no topic is a reserved name, such as CON
}
