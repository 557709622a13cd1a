package transport_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

func TestP2PFetchesTheNewestSnapshot(t *testing.T) {
	a := openP2P(t)
	b := openP2P(t, to(a))
	c := openP2P(t, to(a, b))
	connected(t, a, b, c)
	large := bytes.Repeat([]byte("newest"), 1<<18) // several pieces
	require.NoError(t, a.Snapshot(t.Context(), "flags", []byte("old")))
	require.NoError(t, c.Snapshot(t.Context(), "flags", []byte("older than the next")))
	require.NoError(t, b.Snapshot(t.Context(), "flags", large))
	for _, tr := range []*transport.P2PTransport{a, b, c} {
		data, err := tr.FetchSnapshot(t.Context(), "flags")
		require.NoError(t, err)
		require.True(t, bytes.Equal(large, data))
	}
	require.NoError(t, b.Snapshot(t.Context(), "flags", nil))
	data, err := b.FetchSnapshot(t.Context(), "flags")
	require.NoError(t, err)
	require.Equal(t, "older than the next", string(data), "what b removed is not there")
}

// A peer that offers more than it has: the next best is taken.
func TestP2PTakesOnlyWholeSnapshots(t *testing.T) {
	const best = "\xff\xff\xff\xff\xff\xff\xff\xff\x7f" // version: newer than all
	for name, answer := range map[string]func(ask, offset string) string{
		"stops halfway":          func(string, string) string { return "" },
		"the wrong sum":          func(ask, offset string) string { return ask + offset + best + "\x04\x07" + "data" },
		"more than it announced": func(ask, offset string) string { return ask + offset + best + "\x04\x00" + "databases" },
		"nothing of it":          func(ask, offset string) string { return ask + offset + best + "\x04\x00" },
		"another part":           func(ask, _ string) string { return ask + "\x01" + best + "\x04\x00" + "data" },
	} {
		t.Run(name, func(t *testing.T) {
			log := new(reports)
			a := openP2P(t, plaintext, reportTo(log), func(o *transport.P2POptions) { o.SnapshotTimeout = 100 * time.Millisecond })
			require.NoError(t, a.Snapshot(t.Context(), "flags", []byte("whole")))
			liar := dialRaw(t, a)
			go func() {
				for offers := true; ; offers = false {
					kind, body := readRaw(t, liar)
					for kind != 7 {
						if kind == 9 {
							_ = liar.Close()
							return
						}
						kind, body = readRaw(t, liar)
					}
					reply := answer(body[:1], body[1:2])
					if offers {
						reply = body[:2] + best + "\x04\x00"
					}
					if reply != "" {
						_, _ = io.WriteString(liar, rawFrame(8, reply))
					}
				}
			}()
			data, err := a.FetchSnapshot(t.Context(), "flags")
			require.NoError(t, err)
			require.Equal(t, "whole", string(data))
			require.True(t, log.heard(nil, "snapshot of"), "%v", log.all())
			require.NoError(t, a.Close())
		})
	}
}

// A snapshot that is replaced while it is fetched is fetched anew.
func TestP2PFetchesWhatReplacedTheSnapshot(t *testing.T) {
	a := openP2P(t, plaintext)
	peer := dialRaw(t, a)
	defer peer.Close()
	sum := string(binary.AppendUvarint(nil, uint64(crc32.Checksum([]byte("data"), crc32.MakeTable(crc32.Castagnoli)))))
	answers := []string{ // an offer and a part, until they are of one version
		"\x01\x04" + sum, "\x02\x04" + sum + "data",
		"\x02\x04" + sum, "\x03\x04" + sum + "data",
		"\x03\x04" + sum, "\x03\x04" + sum + "data",
	}
	fetched := make(chan string)
	go func() {
		data, err := a.FetchSnapshot(t.Context(), "flags")
		if err != nil {
			data = []byte(err.Error())
		}
		fetched <- string(data)
	}()
	for _, answer := range answers {
		kind, body := readRaw(t, peer)
		for kind != 7 {
			kind, body = readRaw(t, peer)
		}
		_, err := io.WriteString(peer, rawFrame(8, body[:2]+answer))
		require.NoError(t, err)
	}
	require.Equal(t, "data", <-fetched)
}

func TestP2PFetchesAfterTheFirstAnswerOfADiscovery(t *testing.T) {
	a, b := openP2P(t), openP2P(t, func(o *transport.P2POptions) { o.SnapshotTimeout = time.Hour })
	require.NoError(t, a.Snapshot(t.Context(), "flags", []byte("snapshot")))
	sync := transport.SyncPeers(b)
	require.False(t, b.Alone("flags"))
	fetched := make(chan string)
	go func() {
		data, _ := b.FetchSnapshot(t.Context(), "flags")
		fetched <- string(data)
	}()
	sync([]string{a.Addr()})
	require.Equal(t, "snapshot", <-fetched)
}
