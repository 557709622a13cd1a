package podshare

import "time"

// HealthState says how a store stands to the others of its topic.
type HealthState int

// States of a store.
const (
	// Alone: no other pod is there, as far as is known: none was heard yet, or all said goodbye.
	Alone HealthState = iota
	// Synced: other pods are heard, and nothing that they announced is missing here.
	Synced
	// Behind: something that another pod announced has been missing for longer than a heartbeat.
	Behind
	// CutOff: other pods were heard, did not say goodbye, and have been silent for three heartbeats; or the transport
	// has ended the subscription, or says that its connection is lost; and after that until one of them is heard.
	CutOff
)

// String returns "alone", "synced", "behind", "cut off", or "unknown".
func (s HealthState) String() string {
	switch s {
	case Alone:
		return "alone"
	case Synced:
		return "synced"
	case Behind:
		return "behind"
	case CutOff:
		return "cut off"
	default:
		return "unknown"
	}
}

// Health is how a store stands to the others of its topic, and since when.
type Health struct {
	State HealthState
	Since time.Time
	Peers []PeerHealth // the pods that are heard, in order of first hearing
}

// PeerHealth is another pod as this one sees it.
type PeerHealth struct {
	Node        string
	LastContact time.Time
	Head        uint64 // how many writes it has announced
	Lag         uint64 // how many of these have not been seen here
}

// HealthError is reported when the state of a store changes to Behind or CutOff, and when it leaves them.
type HealthError struct {
	From, To HealthState
}

func (e *HealthError) Error() string {
	return "podshare: store is " + e.To.String() + ", was " + e.From.String()
}

// Health reports the state of the store. A change shows within three heartbeats.
func (s *Store[T]) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	r := s.core
	h := Health{State: r.health.state, Since: s.start.Add(time.Duration(r.health.since))}
	for _, p := range r.peers.list {
		st := r.origins.at(p.origin)
		h.Peers = append(h.Peers, PeerHealth{
			Node:        st.node,
			LastContact: time.Unix(0, at.wall-(at.mono-p.heard)),
			Head:        p.head,
			Lag:         st.seen.lacking(p.head),
		})
	}
	return h
}

// health is the state that a replica is in.
type health struct {
	state  HealthState
	since  int64 // monotonic ns
	behind int64 // monotonic ns since when something has been missing; 0: nothing is
}

// watchHealth finds the state of this moment and reports a change for the worse or back.
func (r *replica[T]) watchHealth(at instant) {
	h := &r.health
	if !r.missing() {
		h.behind = 0
	} else if h.behind == 0 {
		h.behind = max(at.mono, 1)
	}
	state := Synced
	switch {
	case r.cutOff(), r.deaf, r.disconnected(at), r.noWordYet():
		state = CutOff
	case len(r.peers.list) == 0:
		state = Alone
	case h.behind != 0 && at.mono-h.behind > r.interval():
		state = Behind
	}
	if state == h.state {
		return
	}
	if max(state, h.state) >= Behind {
		r.report(&HealthError{From: h.state, To: state})
	}
	h.state, h.since = state, at.mono
}

// missing reports whether another pod has announced what is not here: by its head, or by a vector that
// differed when nothing was under way.
func (r *replica[T]) missing() bool {
	for _, p := range r.peers.list {
		if r.origins.at(p.origin).seen.head < p.head {
			return true
		}
	}
	return r.repair.ask != nil
}
