//go:build unix

package redistest

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerIsKilledAndStartsAgainWhereItWas(t *testing.T) {
	s := Start(t, "--appendonly", "yes", "--appendfsync", "always")
	client := s.Client()
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())
	s.Kill()
	require.Error(t, client.Ping(t.Context()).Err())
	s.Restart()
	require.Equal(t, "value", client.Get(t.Context(), "key").Val())
	s.Kill()
	s.RestartEmpty()
	require.ErrorIs(t, client.Get(t.Context(), "key").Err(), redis.Nil)
}

func TestServerFreezesAndThaws(t *testing.T) {
	s := Start(t)
	s.ConfigSet("maxmemory", "10mb")
	client := s.Client()
	s.Freeze()
	pong := make(chan error, 1)
	go func() { pong <- client.Ping(t.Context()).Err() }()
	require.Empty(t, pong)
	s.Thaw()
	require.NoError(t, <-pong)
}
