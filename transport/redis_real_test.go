//go:build unix

package transport_test

import (
	"crypto/tls"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

func TestRedisKeepsTheContract(t *testing.T) {
	server := redistest.Start(t)
	transporttest.Run(t,
		func(t *testing.T) transporttest.Transport {
			return newRedis(t, transport.RedisOptions{Addr: server.Addr})
		},
		transporttest.WithPair(func(t *testing.T) (from, to transporttest.Transport) {
			return newRedis(t, transport.RedisOptions{Addr: server.Addr}), newRedis(t, transport.RedisOptions{Client: server.Client()})
		}))
}

func TestRedisKeepsTheContractOfTables(t *testing.T) {
	server := redistest.Start(t)
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table {
		return newRedis(t, transport.RedisOptions{Addr: server.Addr})
	})
}

func TestRedisSaysThatAPlainServerDoesNotSpeakTLS(t *testing.T) {
	server := redistest.Start(t)
	_, err := transport.NewRedisTransport(transport.RedisOptions{Addr: server.Addr, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}})
	require.ErrorContains(t, err, "does not speak TLS")
}

func TestRedisSaysThatItsLoginIsRefused(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	_, err := transport.NewRedisTransport(transport.RedisOptions{Addr: server.Addr})
	require.ErrorContains(t, err, "wants a password")
	for _, user := range []string{"", "default", "nobody"} {
		_, err = transport.NewRedisTransport(transport.RedisOptions{Addr: server.Addr, Username: user, Password: "wrong"})
		require.ErrorContains(t, err, "refuses Username or Password")
	}
	require.NoError(t, newRedis(t, transport.RedisOptions{Addr: server.Addr, Password: "secret"}).Close())
}

// The rule of docs/redis.md is enough, and each part of it is needed.
func TestRedisNeedsFewRights(t *testing.T) {
	server := redistest.Start(t)
	rule := redisRule(t, "podshare")
	opts := transport.RedisOptions{Addr: server.Addr, Username: "podshare", Password: "secret"}

	setRedisUser(t, server, opts.Username, rule)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport { return newRedis(t, opts) })
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table { return newRedis(t, opts) })

	wantAllOfRedisRule(t, server, opts.Username, rule, func() (transporttest.Table, error) { return transport.NewRedisTransport(opts) })
}

// wantAllOfRedisRule takes one part of a user's rule away after the other.
func wantAllOfRedisRule(t *testing.T, server *redistest.Server, user string, rule []string, open func() (transporttest.Table, error)) {
	t.Helper()
	for i, part := range rule {
		// Without INFO a scan that a restart interrupts is not repeated, and XREAD comes after Subscribe.
		if part == "on" || part == "+info" || part == "+xread" {
			continue
		}
		t.Run("not without "+part, func(t *testing.T) {
			require.NoError(t, server.Client().FlushAll(t.Context()).Err())
			require.NoError(t, server.Client().ScriptFlush(t.Context()).Err())
			setRedisUser(t, server, user, slices.Delete(slices.Clone(rule), i, i+1))
			require.Error(t, useRedis(t, open))
		})
	}
}

func setRedisUser(t *testing.T, server *redistest.Server, user string, rule []string) {
	t.Helper()
	args := []any{"acl", "setuser", user, "reset"}
	for _, r := range rule {
		args = append(args, r)
	}
	require.NoError(t, server.Client().Do(t.Context(), args...).Err())
}

// redisRule returns the rule of docs/redis.md for a user.
func redisRule(t *testing.T, user string) []string {
	t.Helper()
	doc, err := os.ReadFile("../docs/redis.md")
	require.NoError(t, err)
	_, rule, found := strings.Cut(string(doc), "ACL SETUSER "+user+" ")
	require.True(t, found)
	rule, _, _ = strings.Cut(rule, "```")
	return strings.Fields(strings.ReplaceAll(rule, "\\", " "))
}

// useRedis does everything once, and returns the first error.
func useRedis(t *testing.T, open func() (transporttest.Table, error)) error {
	t.Helper()
	tr, err := open()
	if err != nil {
		return err
	}
	defer tr.Close()
	ctx := t.Context()
	row := podshare.RowChange{RowName: podshare.RowName{Section: podshare.SnapshotEntries, Key: "key"}, Head: []byte("head")}
	gone := podshare.RowChange{RowName: row.RowName, Was: row.Head}
	for _, step := range []func() error{
		func() error { _, err := tr.Subscribe(ctx, "topic"); return err },
		func() error { return tr.Publish(ctx, "topic", []byte("frame")) },
		func() error { return tr.Snapshot(ctx, "topic", []byte("data")) },
		func() error { _, err := tr.FetchSnapshot(ctx, "topic"); return err },
		func() error { return tr.Snapshot(ctx, "topic", nil) },
		func() error { _, err := tr.SwapSnapshotRows(ctx, "topic", []podshare.RowChange{row}); return err },
		func() error { _, err := tr.SnapshotHeads(ctx, "topic", []podshare.RowName{row.RowName}); return err },
		func() error {
			return tr.ScanSnapshot(ctx, "topic", row.Section, func([]podshare.SnapshotRow) error { return nil })
		},
		func() error { _, err := tr.SwapSnapshotRows(ctx, "topic", []podshare.RowChange{gone}); return err },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
