//go:build unix

package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master, its replica, and a sentinel that makes the replica the master when that is dead for a second.
type Sentinel struct {
	Master, Replica *Server
	sentinel        *Server
}

// StartSentinel starts them.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Master: Start(t)}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	s.Master.ConfigSet("repl-diskless-sync-delay", "0")

	config := filepath.Join(t.TempDir(), "sentinel.conf") // it writes to it
	text := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	s.sentinel = startWith(t, []string{config, "--sentinel"})
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: s.sentinel.Addr, Protocol: 2})
	t.Cleanup(func() { _ = sentinel.Close() })
	s.sentinel.await("the sentinel to know the replica", func() bool {
		replicas, err := sentinel.Replicas(t.Context(), "main").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok" && !strings.Contains(replicas[0]["flags"], "down")
	})
	return s
}

// Client returns a client of whoever is the master, closed with the test.
func (s *Sentinel) Client() *redis.Client {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "main", SentinelAddrs: []string{s.sentinel.Addr}, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	s.sentinel.t.Cleanup(func() { _ = client.Close() })
	return client
}
