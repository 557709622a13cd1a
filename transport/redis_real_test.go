//go:build unix

package transport_test

import (
	"testing"

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
