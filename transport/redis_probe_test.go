package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

func TestRedisSaysWhatIsWrongWithItsOptions(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	for want, opts := range map[string]transport.RedisOptions{
		"needs Addr or Client":                       {},
		"a Client and also Addr, Password":           {Client: client, Addr: "127.0.0.1:1", Password: "secret"},
		"a Client and also Username, DB, TLSConfig,": {Client: client, Username: "user", DB: 1, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}},
		"DB is -1":                    {Addr: "127.0.0.1:1", DB: -1},
		"Username without a Password": {Addr: "127.0.0.1:1", Username: "user"},
		"SnapshotTTL is 1ms":          {Addr: "127.0.0.1:1", SnapshotTTL: time.Millisecond},
	} {
		_, err := transport.NewRedisTransport(opts)
		require.ErrorContains(t, err, want)
	}
}

func TestRedisSaysWhyAServerCannotBeUsed(t *testing.T) {
	locked := miniredis.RunT(t)
	locked.RequireAuth("secret")
	secure := runTLS(t)
	nobody := freePort(t)
	for name, c := range map[string]struct {
		opts transport.RedisOptions
		want string
	}{
		"nobody listens":         {transport.RedisOptions{Addr: nobody}, nobody + " cannot be reached"},
		"no password":            {transport.RedisOptions{Addr: locked.Addr()}, "wants a password"},
		"wrong password":         {transport.RedisOptions{Addr: locked.Addr(), Password: "wrong"}, "refuses Username or Password"},
		"plain, but it is TLS":   {transport.RedisOptions{Addr: secure}, "perhaps it wants TLS"},
		"unknown certificate":    {transport.RedisOptions{Addr: secure, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}, "certificate"},
		"Redis 5":                {transport.RedisOptions{Addr: runRESP(t, "-ERR unknown command `HELLO`")}, "Redis 6.0 or newer is needed"},
		"no right to PING":       {transport.RedisOptions{Addr: runRESP(t, "-NOPERM this user has no permissions")}, "lacks a right"},
		"something else":         {transport.RedisOptions{Addr: runRESP(t, ":1")}, "does not answer as Redis does"},
		"not yet":                {transport.RedisOptions{Addr: runRESP(t, "-MASTERDOWN")}, "cannot be used: MASTERDOWN"},
		"it hangs up":            {transport.RedisOptions{Addr: runRESP(t, "")}, "does not answer as Redis does"},
		"it hangs up, TLS asked": {transport.RedisOptions{Addr: runRESP(t, ""), TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}}, "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := transport.NewRedisTransport(c.opts)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// What answers HELLO only with an argument, as Redis 6.0 does, is new enough.
func TestRedisTakesTheOldestServer(t *testing.T) {
	server := runRESP(t, "-ERR wrong number of arguments for 'hello' command")
	require.NoError(t, newRedis(t, transport.RedisOptions{Addr: server}).Close())
}

// runRESP stands in for a server that answers PING, except if it lacks the right, and everything else by one line, or
// hangs up if that is empty. It returns the address.
func runRESP(t *testing.T, line string) string {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for line != "" {
			command, err := readRESP(in)
			if err != nil {
				return
			}
			answer := line
			if strings.EqualFold(command, "PING") && !strings.Contains(line, "NOPERM") {
				answer = "+PONG"
			}
			if _, err := fmt.Fprint(conn, answer, "\r\n"); err != nil {
				return
			}
		}
	})
}

// readRESP reads one command and returns its name.
func readRESP(in *bufio.Reader) (name string, err error) {
	var n int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return "", err
	}
	for i := range n {
		var size int
		var word string
		if _, err := fmt.Fscanf(in, "$%d\r\n%s\r\n", &size, &word); err != nil {
			return "", err
		}
		if i == 0 {
			name = word
		}
	}
	return name, nil
}

// runTLS stands in for a server that speaks TLS, with a certificate that nobody knows.
func runTLS(t *testing.T) string {
	t.Helper()
	server, err := miniredis.RunTLS(&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{newCertificate(t)}})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server.Addr()
}

// serve calls handle with each connection, on a goroutine, and ends all with the test.
func serve(t *testing.T, handle func(conn net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(t.Context(), func() { conn.Close() })
				defer stop()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
