package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// defaultDiscoverInterval is how often a source that must be asked is asked.
const defaultDiscoverInterval = 5 * time.Second

// Discoverer finds the peers of a mesh: [DNSDiscoverer], [KubernetesDiscoverer], [FileDiscoverer] and
// [StaticDiscoverer] do.
type Discoverer interface {
	// Run looks for peers until ctx ends, and returns its error. It calls sync with the first list that it finds and
	// with each that differs from the one before: all peers as host:port, sorted, none twice, IPv6 addresses in
	// brackets, without this pod itself. The slice is sync's to keep. One call runs at a time, on the goroutine of Run,
	// so a sync that hangs holds up Run.
	//
	// What goes wrong on the way leaves the list as it is: it is told to OnError, on the same goroutine, unless it is
	// the same as the time before, and Run goes on. A panic in OnError is discarded. Only what can never work, a wrong
	// option, is returned, and at once.
	//
	// A discoverer may be run again, and several times at once, if nobody changes its fields meanwhile.
	Run(ctx context.Context, sync func(peers []string)) error
}

// discovery is one Run of a discoverer: what all kinds do alike. It belongs to the goroutine of Run.
type discovery struct {
	what string // begins every error
	self selfAddr
	sync func(peers []string)
	errs errorNews
	told []string // what sync was called with last; nil: it never was
}

// newDiscovery returns what is wrong with the arguments that all kinds have in common.
func newDiscovery(what, self string, onError func(error), sync func(peers []string)) (*discovery, error) {
	d := &discovery{what: what, sync: sync, errs: errorNews{handler: onError}}
	if sync == nil {
		return nil, d.wrap(errors.New("there is no function to give the peers to"))
	}
	var err error
	if d.self, err = parseSelf(self); err != nil {
		return nil, d.wrap(err)
	}
	return d, nil
}

// found tells sync of peers, which are in canonical form, if they are news. It keeps no reference to them.
func (d *discovery) found(peers []string) {
	d.errs.report(nil)
	list := make([]string, 0, len(peers))
	for _, p := range peers {
		if !d.self.is(p) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if d.told != nil && slices.Equal(list, d.told) {
		return
	}
	d.told = list
	d.sync(slices.Clone(list))
}

// failed tells OnError why there is no new list.
func (d *discovery) failed(err error) { d.errs.report(d.wrap(err)) }

func (d *discovery) wrap(err error) error { return fmt.Errorf("%s: %w", d.what, err) }

// poll looks at once and then every interval, give or take a fifth, until ctx ends. An error of look leaves the list
// as it is.
func (d *discovery) poll(ctx context.Context, interval time.Duration, look func(context.Context) ([]string, error)) error {
	for ctx.Err() == nil {
		peers, err := look(ctx)
		switch {
		case ctx.Err() != nil: // err is most likely just that
		case err != nil:
			d.failed(err)
		default:
			d.found(peers)
		}
		pause(ctx, spread(interval))
	}
	return ctx.Err()
}

// intervalOr returns interval, or if it is zero or below, what it is by default.
func intervalOr(interval, byDefault time.Duration) time.Duration {
	if interval <= 0 {
		return byDefault
	}
	return interval
}

// spread returns d ± 20 %, so that pods that started together do not ask together.
func spread(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*(d/5)+1) //nolint:gosec // jitter
}
