package podshare

import (
	"context"
	"slices"
	"time"
)

// connection is what a transport says of the connections that frames come by. Without a word they are there.
type connection struct {
	lost  int   // how many are
	since int64 // monotonic ns at which the first of these was lost
	back  int64 // monotonic ns at which all were there again last
}

// afterReconnect is within which time a pod whose connection is there again sends a heartbeat, for each pod that may
// do so at the same moment.
const afterReconnect = 5 * time.Millisecond

// followConnections listens to the transport, if that has something to say, until ctx ends.
func (s *Store[T]) followConnections(ctx context.Context) {
	n, ok := capability[ConnectionNotifier](s.transport)
	if !ok {
		return
	}
	for _, topic := range []string{s.channel, inboxName(s.topic, s.cfg.nodeID)} {
		connected := true // guarded by mu
		n.NotifyConnection(ctx, topic, func(now bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if now == connected || ctx.Err() != nil {
				return
			}
			connected = now
			at := s.now()
			s.core.reconnected(at, now)
			s.settleLocked(at)
		})
	}
}

// reconnected notes that one of the connections was lost, or is there again. What was sent meanwhile did not come: the
// heartbeat shows who lacks what, and the answers to it what lacks here.
func (r *replica[T]) reconnected(at instant, connected bool) {
	c := &r.connection
	if !connected {
		if c.lost++; c.lost == 1 {
			c.since = at.mono
		}
		return
	}
	if c.lost--; c.lost == 0 {
		c.back = at.mono
		r.unstored.look = true // what is stored may be gone with the server that kept it
		r.hurryBeat(at, afterReconnect*time.Duration(len(r.peers.list)+1))
		r.watchHealth(at)
	}
}

// disconnected reports whether a connection has been lost for longer than a heartbeat.
func (r *replica[T]) disconnected(at instant) bool {
	return r.connection.lost > 0 && at.mono-r.connection.since > r.interval()
}

// noWordYet reports whether a store that was cut off has heard none of the others since its connection is there again: it
// cannot know yet what it missed, and they may be without theirs.
func (r *replica[T]) noWordYet() bool {
	return r.health.state == CutOff && len(r.peers.list) > 0 &&
		!slices.ContainsFunc(r.peers.list, func(p *peer) bool { return p.heard >= r.connection.back })
}
