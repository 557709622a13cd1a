package wire_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden frames of the present version")

// goldenFile returns the file of a frame. The files of a released version are never rewritten.
func goldenFile(version uint8, name string) string {
	return filepath.Join("testdata", fmt.Sprintf("v%d", version), name+".hex")
}

func readGolden(t *testing.T, version uint8, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenFile(version, name))
	require.NoError(t, err)
	frame, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err)
	return frame
}

func writeGolden(t *testing.T, name string, frame []byte) {
	t.Helper()
	var text strings.Builder
	for len(frame) > 0 {
		n := min(len(frame), 32)
		fmt.Fprintf(&text, "%x\n", frame[:n])
		frame = frame[n:]
	}
	require.NoError(t, os.WriteFile(goldenFile(wire.Version, name), []byte(text.String()), 0o644))
}

// Golden frames of every released version stay in the tests: what was written once is read for ever.
func TestGoldenFrames(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			h := header()
			frame := appendMessage(t, nil, &h, s.msg, false)
			if *update {
				writeGolden(t, s.name, frame)
			}
			golden := readGolden(t, 1, s.name)
			require.Equal(t, golden, frame)

			got, m, err := parse(t, golden, wire.Limits{})
			require.NoError(t, err)
			h.Kind = s.kind
			require.Equal(t, h, got)
			requireSame(t, s.msg, m)
		})
	}
}

// The bytes of a compressed frame are the compressor's choice, so that only reading is compared.
func TestGoldenCompressedFrame(t *testing.T) {
	const name = "data-compressed"
	h := header()
	msg := &wire.Data{RecordList: wire.RecordList{Records: benchRecords(50)}}
	if *update {
		writeGolden(t, name, appendMessage(t, nil, &h, msg, true))
	}
	golden := readGolden(t, 1, name)
	require.EqualValues(t, 0xc8, golden[5], "ext 16")
	got, m, err := parse(t, golden, wire.Limits{})
	require.NoError(t, err)
	h.Kind = wire.KindData
	require.Equal(t, h, got)
	for i := range m.(*wire.Data).Records {
		require.Equal(t, msg.Records[i], m.(*wire.Data).Records[i])
	}
}

func TestEveryGoldenFrameIsTested(t *testing.T) {
	files, err := filepath.Glob(goldenFile(1, "*"))
	require.NoError(t, err)
	require.Len(t, files, len(samples())+1)
}
