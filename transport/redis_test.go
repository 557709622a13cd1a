package transport_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
	"github.com/podshare/podshare/transport/transporttest"
)

// newRedis returns a transport that the caller closes.
func newRedis(t *testing.T, opts transport.RedisOptions) *transport.RedisTransport {
	t.Helper()
	tr, err := transport.NewRedisTransport(opts)
	require.NoError(t, err)
	return tr
}

func TestRedisKeepsTheContractOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	transporttest.Run(t, func(t *testing.T) transporttest.Transport {
		return newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	})
}

func TestRedisKeepsTheContractOfTablesOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	transporttest.RunTable(t, func(t *testing.T) transporttest.Table {
		return newRedis(t, transport.RedisOptions{Addr: server.Addr()})
	})
}
