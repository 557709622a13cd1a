package wire_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// section returns the first code block behind a marker of the specification.
func section(t *testing.T, marker string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/wire.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "<!-- "+marker+" -->")
	require.True(t, ok, "no marker %q", marker)
	_, rest, ok = strings.Cut(rest, "```text\n")
	require.True(t, ok)
	block, _, ok := strings.Cut(rest, "\n```")
	require.True(t, ok)
	return block
}

func TestTheSpecificationShowsARealFrame(t *testing.T) {
	var spec []byte
	for line := range strings.Lines(section(t, "example")) {
		digits, _, _ := strings.Cut(line, "  ") // two spaces part bytes and remark
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		require.NoError(t, err, line)
		spec = append(spec, b...)
	}

	h := header()
	data := &wire.Data{RecordList: wire.RecordList{
		Origins: []wire.Origin{{Node: []byte("pod-2"), Boot: 0x1890abcdef999999}},
		Records: []wire.Record{
			{Key: []byte("k"), Seq: 41, Stamp: stamp, Value: []byte("true"), Deadline: stamp + 60e9},
			{
				Flags: wire.FlagDelete, Key: []byte("old"), Origin: 1, Seq: 300, Stamp: stamp + 1,
				Replaced: []wire.Dot{{Origin: 0, Seq: 7}},
			},
		},
	}}
	frame := appendMessage(t, nil, &h, data, false)
	require.Equal(t, hex.Dump(spec), hex.Dump(frame))
}

func TestTheSpecificationHashesNodesAsTheCodeDoes(t *testing.T) {
	var lines []string
	for _, node := range []string{"", "a", "pod-1", "pöd"} {
		lines = append(lines, fmt.Sprintf("%-9q %016x", node, wire.HashNode(node)))
	}
	require.Equal(t, section(t, "hash"), strings.Join(lines, "\n"))
	require.Equal(t, wire.HashNode("pod-1"), wire.HashNode([]byte("pod-1")))
}
