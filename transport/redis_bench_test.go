//go:build unix

package transport_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

func BenchmarkRedisTable(b *testing.B) {
	server := redistest.Start(b)
	tr, err := transport.NewRedisTransport(transport.RedisOptions{Addr: server.Addr})
	require.NoError(b, err)
	defer tr.Close()
	body := []byte(strings.Repeat("b", 200))
	for _, rows := range []int{1, 1000, 10000} {
		var names []podshare.RowName
		for i := range rows {
			names = append(names, podshare.RowName{Section: podshare.SnapshotEntries, Key: fmt.Sprint("key ", i)})
		}
		topic, was := fmt.Sprint(rows), []byte(nil)
		b.Run(fmt.Sprintf("swap/rows=%d", rows), func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				head := fmt.Appendf(nil, "%t head of forty bytes or so, or so, or so", n%2 == 0)
				changes := make([]podshare.RowChange, rows)
				for i := range changes {
					changes[i] = podshare.RowChange{RowName: names[i], Was: was, Head: head, Body: body}
				}
				made, err := tr.SwapSnapshotRows(b.Context(), topic, changes)
				require.NoError(b, err)
				require.True(b, made)
				was = head
			}
		})
		b.Run(fmt.Sprintf("heads/rows=%d", rows), func(b *testing.B) {
			for b.Loop() {
				_, err := tr.SnapshotHeads(b.Context(), topic, names)
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("scan/rows=%d", rows), func(b *testing.B) {
			for b.Loop() {
				err := tr.ScanSnapshot(b.Context(), topic, podshare.SnapshotEntries, func([]podshare.SnapshotRow) error { return nil })
				require.NoError(b, err)
			}
		})
	}
	slow, err := server.Client(func(o *redis.Options) { o.DB = 0 }).SlowLogGet(b.Context(), 3).Result()
	require.NoError(b, err)
	for _, s := range slow {
		b.Logf("slow on the server: %v %.10s, %d arguments", s.Duration, s.Args[0], len(s.Args))
	}
}
