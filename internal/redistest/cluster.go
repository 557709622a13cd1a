//go:build unix

package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartCluster starts a Cluster of three masters, each with a third of the slots. Its bus uses the ports 10000 above
// theirs.
func StartCluster(t testing.TB) []*Server {
	t.Helper()
	servers := make([]*Server, 3)
	for i := range servers {
		servers[i] = Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		first, last := 16384*i/len(servers), 16384*(i+1)/len(servers)-1
		// Epochs of their own let the servers agree at once.
		for _, command := range [][]any{
			{"cluster", "set-config-epoch", i + 1},
			{"cluster", "addslotsrange", first, last},
		} {
			servers[i].must(servers[i].Client().Do(t.Context(), command...).Err(), fmt.Sprint(command...))
		}
	}
	for _, s := range servers[1:] {
		host, port, _ := net.SplitHostPort(s.Addr)
		s.must(servers[0].Client().ClusterMeet(t.Context(), host, port).Err(), "CLUSTER MEET")
	}
	for _, s := range servers {
		client := s.Client()
		s.await("the Cluster to form", func() bool {
			info := client.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return servers
}

// ClusterClient returns a client of a Cluster that is closed with the test.
func ClusterClient(t testing.TB, servers []*Server) *redis.ClusterClient {
	t.Helper()
	addrs := make([]string, 0, len(servers))
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *Server) must(err error, what string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", what, err)
	}
}

// await polls until ok.
func (s *Server) await(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			s.t.Fatalf("redistest: gave up waiting for %s", what)
		}
	}
}
