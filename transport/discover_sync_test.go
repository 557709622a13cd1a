package transport

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// meshStandIn is a set of peers; alone counts how often it was without any.
type meshStandIn struct {
	peers map[string]bool
	calls int
	alone int
}

func (m *meshStandIn) AddPeer(addr string) bool {
	m.calls++
	isNew := !m.peers[addr]
	m.peers[addr] = true
	return isNew
}

func (m *meshStandIn) RemovePeer(addr string) bool {
	m.calls++
	had := m.peers[addr]
	delete(m.peers, addr)
	if len(m.peers) == 0 {
		m.alone++
	}
	return had
}

func (m *meshStandIn) want(t *testing.T, peers ...string) {
	t.Helper()
	require.Equal(t, peers, slices.Sorted(maps.Keys(m.peers)))
}

func TestSyncPeersAddsWhatIsNewAndRemovesWhatIsGone(t *testing.T) {
	m := &meshStandIn{peers: map[string]bool{}}
	sync := syncPeers(m)
	sync([]string{"a:1", "b:1"})
	m.want(t, "a:1", "b:1")
	sync([]string{"b:1", "c:1"})
	m.want(t, "b:1", "c:1")
	require.Equal(t, 4, m.calls, "b:1 was left alone")
	sync([]string{"d:1", "e:1"})
	m.want(t, "d:1", "e:1")
	require.Zero(t, m.alone, "new peers come before old ones go")
	sync(nil)
	m.want(t)
}

func TestSyncPeersLeavesPeersThatItHasNotAdded(t *testing.T) {
	m := &meshStandIn{peers: map[string]bool{"seed:1": true}}
	sync := syncPeers(m)
	sync([]string{"a:1", "seed:1"})
	sync([]string{"b:1"})
	m.want(t, "b:1", "seed:1")
	sync(nil)
	m.want(t, "seed:1")
}

func TestSyncPeersAddsAgainWhatCameBack(t *testing.T) {
	m := &meshStandIn{peers: map[string]bool{}}
	sync := syncPeers(m)
	for range 3 {
		sync([]string{"a:1"})
		m.want(t, "a:1")
		sync(nil)
		m.want(t)
	}
}
