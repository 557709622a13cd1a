//go:build unix

// Package redisfaults breaks Redis under whole fleets: stores over [transport.RedisTransport] and a real redis-server,
// which write all the time while it fails in one way or another. What must hold afterwards is in fleet.settle.
package redisfaults

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // connections break all the time
	goleak.VerifyTestMain(m)
}
