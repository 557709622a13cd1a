//go:build unix

package transport_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/redistest"
)

// Stores over streams come to hold what they all wrote, whatever befalls the server meanwhile.
func TestStoresOverRedisStreamsConvergeAfter(t *testing.T) {
	onDisk := []string{"--appendonly", "yes", "--appendfsync", "always"}
	for name, c := range map[string]struct {
		args   []string // of the server
		maxLen int
		befall func(t *testing.T, server *redistest.Server, write func())
	}{
		"nothing": {befall: func(_ *testing.T, _ *redistest.Server, write func()) { write() }},
		"killed connections": {befall: func(t *testing.T, server *redistest.Server, write func()) {
			t.Helper()
			for range 5 {
				write()
				require.NoError(t, server.Client().ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
			}
		}},
		"a crash with data": {args: onDisk, befall: func(_ *testing.T, server *redistest.Server, write func()) {
			server.Kill()
			write()
			server.Restart()
		}},
		"a crash without data": {befall: func(_ *testing.T, server *redistest.Server, write func()) {
			write()
			server.Kill()
			write()
			server.Restart()
		}},
		"lost streams": {befall: func(t *testing.T, server *redistest.Server, write func()) {
			t.Helper()
			for range 5 {
				write()
				require.NoError(t, server.Client().FlushAll(t.Context()).Err())
			}
		}},
		"gaps": {maxLen: 1, befall: func(_ *testing.T, _ *redistest.Server, write func()) {
			for range 5 {
				write()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, c.args...)
			var stores []*podshare.Store[int]
			for _, pod := range fleetPods {
				opts := redisAt(server.Addr)
				opts.PingInterval, opts.MaxLen = 100*time.Millisecond, c.maxLen
				tr := newRedisStream(t, opts)
				t.Cleanup(func() { assert.NoError(t, tr.Close()) })
				s, err := podshare.New(t.Context(), "topic", tr, podshare.WithNodeID[int](pod))
				require.NoError(t, err)
				t.Cleanup(func() { _ = s.Close() })
				stores = append(stores, s)
			}
			n := 0
			want := map[string]int{}
			c.befall(t, server, func() {
				for _, s := range stores {
					key := fmt.Sprint(s.NodeID(), n%10)
					if err := s.Set(t.Context(), key, n); !errors.Is(err, podshare.ErrBroadcast) {
						require.NoError(t, err)
					}
					want[key] = n
					n++
				}
			})
			for _, s := range stores {
				require.Eventually(t, func() bool { return maps.Equal(want, s.Snapshot()) }, redisPatience, redisPoll, s.NodeID())
			}
		})
	}
}
