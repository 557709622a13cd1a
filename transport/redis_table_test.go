package transport_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

const (
	redisEntries = "{podshare:topic}:rows:entries"
	redisVector  = "{podshare:topic}:rows:vector"
)

func redisRow(key string) podshare.RowName {
	return podshare.RowName{Section: podshare.SnapshotEntries, Key: key}
}

func TestRedisRowIsLaidOutAsDocumented(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	made, err := tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{
		{RowName: redisRow("key"), Head: []byte("head"), Body: []byte("body")},
		{RowName: podshare.RowName{Section: podshare.SnapshotVector, Key: "key"}, Head: make([]byte, 300)},
	})
	require.NoError(t, err)
	require.True(t, made)
	require.Equal(t, "\x00\x00\x00\x04headbody", server.HGet(redisEntries, "key"))
	require.Equal(t, "\x00\x00\x01\x2c"+string(make([]byte, 300)), server.HGet(redisVector, "key"))
}

// What somebody else wrote is a row that a store can replace.
func TestRedisRowOfSomebodyElseCanBeReplaced(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	for name, garbage := range map[string]string{
		"nothing":              "",
		"shorter than a head":  "\x00\x00\x00\x01",
		"text":                 "some text",
		"head beyond the end":  "\x00\x00\x00\x02a",
		"head far beyond":      "\xff\xff\xff\xffabc",
		"empty head":           "\x00\x00\x00\x00body",
		"looks like a removal": "-",
		"looks like no change": "=",
	} {
		t.Run(name, func(t *testing.T) {
			server.HSet(redisEntries, "key", garbage)
			heads, err := tr.SnapshotHeads(t.Context(), "topic", []podshare.RowName{redisRow("key")})
			require.NoError(t, err)
			require.Equal(t, garbage, string(heads[0]))
			require.Equal(t, garbage == "", heads[0] == nil)

			scanned := []podshare.SnapshotRow{}
			require.NoError(t, tr.ScanSnapshot(t.Context(), "topic", podshare.SnapshotEntries, func(rows []podshare.SnapshotRow) error {
				scanned = append(scanned, rows...)
				return nil
			}))
			if garbage == "" {
				require.Empty(t, scanned)
			} else {
				require.Equal(t, []podshare.SnapshotRow{{Key: "key", Head: []byte(garbage)}}, scanned)
			}

			made, err := tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{
				{RowName: redisRow("key"), Was: heads[0], Head: []byte("head"), Body: []byte("body")},
			})
			require.NoError(t, err)
			require.True(t, made)
			require.Equal(t, "\x00\x00\x00\x04headbody", server.HGet(redisEntries, "key"))
		})
	}
}

func TestRedisSaysThatAKeyIsNoTable(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	require.NoError(t, server.Set(redisEntries, "a string"))
	_, err := tr.SnapshotHeads(t.Context(), "topic", []podshare.RowName{redisRow("key")})
	require.ErrorContains(t, err, "holds what is no hash")
	vector := podshare.RowChange{RowName: podshare.RowName{Section: podshare.SnapshotVector, Key: "key"}, Head: []byte("head")}
	_, err = tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{vector, {RowName: redisRow("key"), Head: []byte("head")}})
	require.ErrorContains(t, err, "holds what is no hash")
	require.False(t, server.Exists(redisVector), "nothing is changed")
	err = tr.ScanSnapshot(t.Context(), "topic", podshare.SnapshotEntries, func([]podshare.SnapshotRow) error { return errors.New("called") })
	require.ErrorContains(t, err, "holds what is no hash")
}

func TestRedisRefusesUnknownSections(t *testing.T) {
	server := miniredis.RunT(t)
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	defer tr.Close()
	unknown := podshare.RowName{Section: "unknown", Key: "key"}
	_, err := tr.SnapshotHeads(t.Context(), "topic", []podshare.RowName{unknown})
	require.ErrorContains(t, err, "section")
	_, err = tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{{RowName: unknown, Head: []byte("head")}})
	require.ErrorContains(t, err, "section")
}

// Both hashes expire at one moment, which moves on when a tenth of the time is over, by reading or by writing.
func TestRedisTableExpiresAsAWhole(t *testing.T) {
	server := miniredis.RunT(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	server.SetTime(now)
	pass := func(d time.Duration) {
		now = now.Add(d)
		server.SetTime(now)
		server.FastForward(d)
	}
	tr := newRedis(t, transport.RedisOptions{Addr: server.Addr(), SnapshotTTL: 100 * time.Hour})
	defer tr.Close()
	write := func(section podshare.SnapshotSection, key string) {
		made, err := tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{
			{RowName: podshare.RowName{Section: section, Key: key}, Head: []byte("head")},
		})
		require.NoError(t, err)
		require.True(t, made)
	}
	wantTTL := func(ttl time.Duration) {
		t.Helper()
		require.Equal(t, ttl, server.TTL(redisEntries))
		require.Equal(t, ttl, server.TTL(redisVector))
	}
	write(podshare.SnapshotEntries, "a")
	pass(time.Hour)
	write(podshare.SnapshotVector, "a") // a hash that has no expiry yet
	wantTTL(100 * time.Hour)
	pass(9 * time.Hour)
	write(podshare.SnapshotVector, "b")
	wantTTL(91 * time.Hour)
	pass(2 * time.Hour)
	write(podshare.SnapshotVector, "c")
	wantTTL(100 * time.Hour)
	pass(50 * time.Hour)
	_, err := tr.SnapshotHeads(t.Context(), "topic", nil)
	require.NoError(t, err)
	wantTTL(100 * time.Hour)
}

// Also one that was to expire once.
func TestRedisTableIsKeptForEver(t *testing.T) {
	server := miniredis.RunT(t)
	server.SetTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	for i, ttl := range []time.Duration{-1, time.Hour, -1} {
		tr := newRedis(t, transport.RedisOptions{Addr: server.Addr(), SnapshotTTL: ttl})
		for _, section := range []podshare.SnapshotSection{podshare.SnapshotEntries, podshare.SnapshotVector} {
			name := podshare.RowName{Section: section, Key: fmt.Sprint(i)}
			_, err := tr.SwapSnapshotRows(t.Context(), "topic", []podshare.RowChange{{RowName: name, Head: []byte("head")}})
			require.NoError(t, err)
		}
		require.NoError(t, tr.Close())
		require.Equal(t, max(ttl, 0), server.TTL(redisEntries))
		require.Equal(t, max(ttl, 0), server.TTL(redisVector))
	}
}

// fillRedis makes rows k0, k1, ….
func fillRedis(t *testing.T, tr *transport.RedisTransport, rows int) {
	t.Helper()
	var changes []podshare.RowChange
	for i := range rows {
		changes = append(changes, podshare.RowChange{RowName: redisRow(fmt.Sprint("k", i)), Head: []byte("head"), Body: []byte("body")})
	}
	made, err := tr.SwapSnapshotRows(t.Context(), "topic", changes)
	require.NoError(t, err)
	require.True(t, made)
}
