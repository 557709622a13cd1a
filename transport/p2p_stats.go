package transport

import (
	"cmp"
	"slices"
	"time"
)

// P2PStats is what a [P2PTransport] has done.
type P2PStats struct {
	Peers   []P2PPeerStats // connected ones, by Remote
	Dropped uint64         // frames that a subscriber of this pod missed because its queue was full
	Refused uint64         // connections of strangers
}

// P2PPeerStats is the connection to one peer. Counts begin with it.
type P2PPeerStats struct {
	Node    string // what the peer calls itself
	Remote  string // the address that was dialled or, inbound, the one that the peer advertises
	Inbound bool   // the peer made the connection
	Since   time.Time

	FramesSent, FramesReceived uint64 // of those sent, only what was published
	BytesSent, BytesReceived   uint64 // without TCP and TLS
	Dropped                    uint64 // frames that its queue had no room for, or that are larger than it takes
	Queued                     int    // frames that wait for it
}

// Stats returns the counts of this moment.
func (t *P2PTransport) Stats() P2PStats {
	stats := P2PStats{Dropped: t.dropped.Load(), Refused: t.refused.Load()}
	t.mu.Lock()
	for _, p := range t.peers {
		stats.Peers = append(stats.Peers, p.conn.stats())
	}
	t.mu.Unlock()
	slices.SortFunc(stats.Peers, func(a, b P2PPeerStats) int {
		return cmp.Or(cmp.Compare(a.Remote, b.Remote), cmp.Compare(a.Node, b.Node))
	})
	return stats
}

func (c *p2pConn) stats() P2PPeerStats {
	return P2PPeerStats{
		Node: c.hello.node, Remote: c.remote, Inbound: c.inbound, Since: c.since,
		FramesSent: c.sender.sentFrames.Load(), FramesReceived: c.receivedFrames.Load(),
		BytesSent: c.sender.sentBytes.Load(), BytesReceived: c.receivedBytes.Load(),
		Dropped: c.sender.dropped.Load(), Queued: c.sender.waiting(),
	}
}
