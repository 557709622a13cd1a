package wire_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// G9: a corrupt, truncated, oversized, foreign or future-version frame is … dropped whole.
func TestEveryTruncationIsRefused(t *testing.T) {
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		for n := range frame {
			_, _, err := wire.Open(frame[:n:n], wire.Limits{})
			require.ErrorIs(t, err, wire.ErrCorrupt, "%s cut to %d of %d bytes", s.name, n, len(frame))
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		for i := range frame {
			for bit := range 8 {
				frame[i] ^= 1 << bit
				_, _, err := wire.Open(frame, wire.Limits{})
				require.Error(t, err, "%s with bit %d of byte %d flipped", s.name, bit, i)
				frame[i] ^= 1 << bit
			}
		}
	}
}

// Whoever cuts a frame and gives it a new checksum is refused by the format.
func TestEveryTruncationOfABodyIsRefused(t *testing.T) {
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		for n := 11; n < len(frame); n++ {
			cut := seal(slices.Clone(frame[:n]))
			_, _, err := parse(t, cut, wire.Limits{})
			var format *wire.FormatError
			require.ErrorAs(t, err, &format, "%s cut to %d of %d bytes", s.name, n, len(frame))
		}
	}
}

func TestTrailingBytesAreRefused(t *testing.T) {
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		_, _, err := parse(t, append(frame, 0), wire.Limits{})
		require.ErrorIs(t, err, wire.ErrCorrupt, s.name)

		_, _, err = parse(t, seal(slices.Insert(frame, len(frame)-5, 0)), wire.Limits{})
		require.Equal(t, &wire.FormatError{Field: "end: trailing bytes"}, err, s.name)
	}
}

func TestVersions(t *testing.T) {
	h := header()
	frame := (&wire.Goodbye{}).Append(nil, &h)
	for version, want := range map[byte]error{
		0:                &wire.FormatError{Field: "version"},
		wire.Version:     nil,
		wire.Version + 1: wire.ErrVersion,
		127:              wire.ErrVersion,
		128:              &wire.FormatError{Field: "version"}, // no fixint
		255:              &wire.FormatError{Field: "version"},
	} {
		frame[4] = version
		_, _, err := wire.Open(seal(frame), wire.Limits{})
		require.Equal(t, want, err, "version %d", version)
	}

	frame[4] = wire.Version + 1
	_, _, err := wire.Open(frame[:len(frame)-1], wire.Limits{})
	require.ErrorIs(t, err, wire.ErrVersion, "a newer version may have another checksum")
}

func TestUnknownKindsAreRefused(t *testing.T) {
	h := header()
	frame := (&wire.Goodbye{}).Append(nil, &h)
	for kind := range byte(128) {
		if kind >= byte(wire.KindData) && kind <= byte(wire.KindSeen) {
			continue
		}
		frame[6] = kind
		_, _, err := wire.Open(seal(frame), wire.Limits{})
		require.Equal(t, &wire.FormatError{Field: "kind"}, err, "%v", wire.Kind(kind))
	}
}

func TestLimits(t *testing.T) {
	h := header()
	frame := (&wire.Goodbye{}).Append(nil, &h)
	_, _, err := wire.Open(frame, wire.Limits{MaxFrame: len(frame)})
	require.NoError(t, err)
	_, _, err = wire.Open(frame, wire.Limits{MaxFrame: len(frame) - 1})
	require.ErrorIs(t, err, wire.ErrTooLarge)
	_, _, err = wire.Open(make([]byte, wire.DefaultMaxFrame+1), wire.Limits{})
	require.ErrorIs(t, err, wire.ErrTooLarge)
}

func TestAppendKeepsWhatTheBufferHolds(t *testing.T) {
	h := header()
	for _, s := range samples() {
		for _, compress := range []bool{false, true} {
			alone := appendMessage(t, nil, &h, s.msg, compress)
			behind := appendMessage(t, []byte("before"), &h, s.msg, compress)
			require.Equal(t, append([]byte("before"), alone...), behind, s.name)
		}
	}
}

func TestSenderIsKnownAtAGlance(t *testing.T) {
	h := header()
	for _, s := range samples() {
		frame := appendMessage(t, nil, &h, s.msg, false)
		node, boot, ok := wire.Sender(frame)
		require.True(t, ok)
		require.Equal(t, h.Node, node)
		require.Equal(t, h.Boot, boot)

		for n := range frame {
			node, _, ok := wire.Sender(frame[:n:n])
			require.True(t, !ok || string(node) == string(h.Node), "cut to %d bytes", n)
		}
		frame[4]++
		_, _, ok = wire.Sender(frame)
		require.False(t, ok, "a newer version")
	}
}

func TestKindsHaveNames(t *testing.T) {
	require.Equal(t, "data", wire.KindData.String())
	require.Equal(t, "snapshot", wire.KindSnapshot.String())
	require.Equal(t, "kind(0)", wire.Kind(0).String())
	require.Equal(t, "kind(12)", (wire.KindSeen + 1).String())
}
