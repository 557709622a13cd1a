//go:build unix

package redisfaults

import (
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
	"github.com/podshare/podshare/transport"
)

// The password changes under the pods. One asks for it whenever it logs in, and needs only to be told; the others have
// theirs from their start, and need the server to take it again.
func TestFleetSurvivesARotatedPassword(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "old")
	admin := server.Client(func(o *redis.Options) { o.Password = "old" })
	require.NoError(t, admin.ACLSetUser(t.Context(), "admin", "on", ">admin", "~*", "&*", "+@all").Err())
	admin = server.Client(func(o *redis.Options) { o.Username, o.Password = "admin", "admin" })
	f := startFleet(t, 2, func() transport.RedisOptions {
		return transport.RedisOptions{Addr: server.Addr, Password: "old", PingInterval: pingInterval}
	})
	var password atomic.Value // string
	password.Store("old")
	told := f.add(transport.RedisOptions{PingInterval: pingInterval, Client: server.Client(func(o *redis.Options) {
		o.CredentialsProvider = func() (username, secret string) { return "", password.Load().(string) }
		o.ContextTimeoutEnabled, o.DialerRetries = true, 1
	})})
	told.write()
	f.awaitWrites(20)

	require.NoError(t, admin.ACLSetUser(t.Context(), "default", "resetpass", ">new").Err())
	require.NoError(t, admin.ClientKillByFilter(t.Context(), "USER", "default").Err())
	f.awaitCutOff()
	password.Store("new")
	fleettest.Poll(t, "the pod that was told to be heard", func() bool {
		return admin.PubSubNumSub(t.Context(), "{podshare:topic}:frames").Val()["{podshare:topic}:frames"] == 1
	})
	require.NoError(t, admin.ACLSetUser(t.Context(), "default", ">old").Err())
	f.settle()
}
