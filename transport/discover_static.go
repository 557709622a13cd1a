package transport

import (
	"context"
	"errors"
)

// StaticDiscoverer has peers that never change. All pods can be given the same list, if each says which is itself.
type StaticDiscoverer struct {
	// Peers are all pods, each as host:port. The host may be a name.
	Peers []string

	// Self is this pod, which is left out: its host:port, or its IP or name alone, whatever the port. The default is
	// that nothing is left out.
	Self string
}

var _ Discoverer = (*StaticDiscoverer)(nil)

// Run calls sync once, see [Discoverer]. It returns what is wrong with Peers or Self at once, and the error of ctx when
// it ends.
func (s *StaticDiscoverer) Run(ctx context.Context, sync func(peers []string)) error {
	d, err := newDiscovery("static peers", s.Self, nil, sync)
	if err != nil {
		return err
	}
	peers := make([]string, len(s.Peers))
	var wrong []error
	for i, p := range s.Peers {
		if peers[i], err = parsePeer(p); err != nil {
			wrong = append(wrong, err)
		}
	}
	if wrong != nil {
		return d.wrap(errors.Join(wrong...))
	}
	if ctx.Err() == nil {
		d.found(peers)
		<-ctx.Done()
	}
	return ctx.Err()
}
