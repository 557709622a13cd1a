package wire_test

import (
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/podshare/podshare/internal/wire"
)

// benchRecords returns n records like those of a usual store: 20 B keys, 100 B values.
func benchRecords(n int) []wire.Record {
	records := make([]wire.Record, n)
	for i := range records {
		records[i] = wire.Record{
			Key: fmt.Appendf(nil, "routes/eu-west/%05d", i), Seq: uint64(i + 1), Stamp: stamp + int64(i),
			Value: make([]byte, 100),
		}
	}
	return records
}

func appendRecords(dst []byte, h *wire.Header, rs *wire.Records, records []wire.Record) []byte {
	rs.Reset(h.Node, h.Boot)
	for i := range records {
		rs.Add(&records[i])
	}
	return wire.AppendData(dst, h, rs, false)
}

func BenchmarkAppendData(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			var (
				h       = header()
				records = benchRecords(n)
				rs      wire.Records
				frame   = appendRecords(nil, &h, &rs, records)
			)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				frame = appendRecords(frame[:0], &h, &rs, records)
			}
		})
	}
}

func BenchmarkParseData(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			var (
				h     = header()
				rs    wire.Records
				frame = appendRecords(nil, &h, &rs, benchRecords(n))
				data  wire.Data
			)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				_, body, err := wire.Open(frame, wire.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if err := data.Parse(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChecksum is the part of the two above that is no encoding.
func BenchmarkChecksum(b *testing.B) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			h := header()
			frame := appendRecords(nil, &h, &wire.Records{}, benchRecords(n))
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				crc32.Checksum(frame, table)
			}
		})
	}
}

func BenchmarkSender(b *testing.B) {
	h := header()
	frame := appendRecords(nil, &h, &wire.Records{}, benchRecords(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := wire.Sender(frame); !ok {
			b.Fatal("no sender")
		}
	}
}
