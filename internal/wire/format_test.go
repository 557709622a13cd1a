package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// data returns the fields of a data frame with one other origin and one record.
func data(record ...any) array { return array{array{array{"pod-2", 1}}, array{record}} }

// snapshotWith returns the fields of a snapshot, one of which is given.
func snapshotWith(i int, field any) array {
	fields := array{0, 0, array{}, array{}, array{}}
	fields[i] = field
	return fields
}

// dots returns a list of n replaced writes.
func dots(n int) array {
	list := make(array, 0, 2*n)
	for i := range n {
		list = append(list, 0, i+1)
	}
	return list
}

// haveWith returns the fields of a have, one of which is given.
func haveWith(i int, field any) array {
	fields := array{array{1, 2}, 0, 0, 0, array{}, array{}, array{}, array{}, 0}
	fields[i] = field
	return fields
}

func vectorOf(entry ...any) array { return snapshotWith(2, array{entry}) }

// Each case is intact msgpack with a good checksum, and breaks one rule.
func TestWhatBreaksTheFormatIsRefusedByName(t *testing.T) {
	var (
		v       = []byte("v")
		tooHigh = wire.MaxSeq + 1
		tooLate = uint64(wire.MaxStamp) + 1
	)
	for _, c := range []struct {
		name   string
		kind   wire.Kind
		fields array
		field  string // "" if it breaks none
	}{
		{"good record", wire.KindData, data(0, "k", 0, 1, 0, v), ""},
		{"one field too many", wire.KindData, append(data(0, "k", 0, 1, 0, v), 0), "body"},
		{"one field too few", wire.KindData, array{array{}}, "body"},
		{"records are no array", wire.KindData, array{array{}, "x"}, "records"},
		{"origins are no array", wire.KindData, array{1, array{}}, "origins"},
		{"origin without boot", wire.KindData, array{array{array{"pod-234"}}, array{}}, "origin"},
		{"origin whose node is a number", wire.KindData, array{array{array{1, 300}}, array{}}, "origin node"},
		{"origin with a negative boot", wire.KindData, array{array{array{"p", -1}}, array{}}, "origin boot"},

		{"record too short", wire.KindData, data(0, "kkkkk", 0, 1, 0), "record"},
		{"record too long", wire.KindData, data(0, "k", 0, 1, 0, v, 0), "record"},
		{"flags of nine bits", wire.KindData, data(256, "k", 0, 1, 0, v), "record flags"},
		{"deleted and expired", wire.KindData, data(3, "k", 0, 1, 0, nil), "record flags"},
		{"expired and lapsed", wire.KindData, data(6, "k", 0, 1, 0, nil), "record flags"},
		{"empty key", wire.KindData, data(0, "", 0, 1, 0, v), "record key"},
		{"key of bytes", wire.KindData, data(0, v, 0, 1, 0, v), "record key"},
		{"known origin", wire.KindData, data(0, "k", 1, 1, 0, v), ""},
		{"unknown origin", wire.KindData, data(0, "k", 2, 1, 0, v), "record origin"},
		{"huge origin", wire.KindData, data(0, "k", uint64(1)<<32, 1, 0, v), "record origin"},
		{"seq 0", wire.KindData, data(0, "k", 0, 0, 0, v), "record seq"},
		{"highest seq", wire.KindData, data(0, "k", 0, wire.MaxSeq, 0, v), ""},
		{"seq too high", wire.KindData, data(0, "k", 0, tooHigh, 0, v), "record seq"},
		{"latest stamp", wire.KindData, data(0, "k", 0, 1, wire.MaxStamp, v), ""},
		{"stamp too late", wire.KindData, data(0, "k", 0, 1, tooLate, v), "record stamp"},
		{"negative stamp", wire.KindData, data(0, "k", 0, 1, -1, v), "record stamp"},
		{"value withheld", wire.KindData, data(0, "k", 0, 1, 0, nil), ""},
		{"value of text", wire.KindData, data(0, "k", 0, 1, 0, "v"), "record value"},
		{"tombstone with value", wire.KindData, data(1, "k", 0, 1, 0, v), "record value"},
		{"seed, owned, deleted", wire.KindData, data(25, "k", 0, 1, 0, nil), ""},

		{"deadline", wire.KindData, data(32, "k", 0, 1, 0, v, 1), ""},
		{"deadline 0", wire.KindData, data(32, "k", 0, 1, 0, v, 0), "record deadline"},
		{"deadline too late", wire.KindData, data(32, "k", 0, 1, 0, v, tooLate), "record deadline"},
		{"deadline missing", wire.KindData, data(32, "k", 0, 1, 0, v), "record"},
		{"replaced", wire.KindData, data(64, "k", 0, 1, 0, v, array{1, 5}), ""},
		{"replaced nothing", wire.KindData, data(64, "k", 0, 1, 0, v, array{}), "record replaced"},
		{"replaced as many as may be", wire.KindData, data(64, "k", 0, 1, 0, v, dots(wire.MaxReplaced)), ""},
		{"replaced too many", wire.KindData, data(64, "k", 0, 1, 0, v, dots(wire.MaxReplaced+1)), "record replaced"},
		{"replaced half a dot", wire.KindData, data(64, "k", 0, 1, 0, v, array{1, 5, 1}), "record replaced"},
		{"replaced an unknown origin", wire.KindData, data(64, "k", 0, 1, 0, v, array{2, 5}), "record replaced"},
		{"replaced seq 0", wire.KindData, data(64, "k", 0, 1, 0, v, array{1, 0}), "record replaced"},
		{"last of a batch", wire.KindData, data(128, "k", 0, 5, 0, v, 3, 3), ""},
		{"behind its batch", wire.KindData, data(128, "k", 0, 6, 0, v, 3, 3), "record batch"},
		{"before its batch", wire.KindData, data(128, "k", 0, 2, 0, v, 3, 3), "record batch"},
		{"empty batch", wire.KindData, data(128, "k", 0, 3, 0, v, 3, 0), "record batch"},
		{"last seq ends its batch", wire.KindData, data(128, "k", 0, 3, 0, v, 3, wire.MaxSeq-2), ""},
		{"batch beyond the highest seq", wire.KindData, data(128, "k", 0, 3, 0, v, 3, wire.MaxSeq-1), "record batch"},
		{"longest batch at the highest seq", wire.KindData, data(128, "k", 0, wire.MaxSeq, 0, v, wire.MaxSeq, wire.MaxSeq), "record batch"},
		{"batch too long", wire.KindData, data(128, "k", 0, 3, 0, v, 3, tooHigh), "record batch"},

		{"heartbeat", wire.KindHeartbeat, array{1, 2, 3, 4, 1, 1, 7, 8}, ""},
		{"versions reversed", wire.KindHeartbeat, array{1, 2, 3, 4, 2, 1, 7, 8}, "heartbeat version"},
		{"version of nine bits", wire.KindHeartbeat, array{1, 2, 3, 4, 1, 256, 7, 8}, "heartbeat version"},
		{"heartbeat flags of nine bits", wire.KindHeartbeat, array{1, 2, 3, 4, 1, 1, 7, 256}, "heartbeat flags"},
		{"unknown want flag", wire.KindWant, array{array{1, 2}, 0, 8, 0, array{}, 0}, "want flags"},
		{"to nobody", wire.KindLapse, array{nil}, "to"},
		{"to half an address", wire.KindLapse, array{array{1}}, "to"},
		{"unknown have flag", wire.KindHave, haveWith(3, 4), "have flags"},
		{"have floor too late", wire.KindHave, haveWith(8, tooLate), "floor"},

		{"vector", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 7, 7, 9, 12), ""},
		{"vector entry too short", wire.KindSnapshot, vectorOf(1, 2, 300), "vector entry"},
		{"head too high", wire.KindSnapshot, vectorOf(1, 2, tooHigh, 0), "vector head"},
		{"mark too high", wire.KindSnapshot, vectorOf(1, 2, 0, tooHigh), "vector mark"},
		{"half a span", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 7), "vector spans"},
		{"span below the head", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 4, 7), "vector spans"},
		{"span next to the head", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 6, 7), "vector spans"},
		{"span reversed", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 8, 7), "vector spans"},
		{"adjacent spans", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 7, 7, 8, 9), "vector spans"},
		{"overlapping spans", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 7, 9, 9, 10), "vector spans"},
		{"descending spans", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 9, 9, 7, 7), "vector spans"},
		{"span too high", wire.KindSnapshot, vectorOf(1, 2, 5, 0, 7, tooHigh), "vector spans"},

		{"held", wire.KindHave, haveWith(7, array{array{1, 2, array{1, 3, 5, 5}, array{}}}), ""},
		{"held from 0", wire.KindHave, haveWith(7, array{array{1, 2, array{0, 3}, array{}}}), "held live"},
		{"held dead adjacent", wire.KindHave, haveWith(7, array{array{1, 2, array{}, array{1, 1, 2, 2}}}), "held dead"},
		{"held entry too short", wire.KindHave, haveWith(7, array{array{1, 2, array{1, 2}}}), "held entry"},

		{"unknown snapshot flag", wire.KindSnapshot, snapshotWith(0, 2), "snapshot flags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, compact := range []bool{false, true} {
				frame := handmade(t, compact, c.kind, c.fields...)
				_, _, err := parse(t, frame, wire.Limits{})
				if c.field == "" {
					require.NoError(t, err)
					continue
				}
				require.Equal(t, &wire.FormatError{Field: c.field}, err)
			}
		})
	}
}
