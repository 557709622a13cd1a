package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// dnsTimeout bounds one look-up.
	dnsTimeout = 5 * time.Second

	// dnsMisses is how many answers in a row must lack an address before it is dropped. Some servers answer with a part
	// of what they know.
	dnsMisses = 3

	// dnsEmptyGrace is how long a name must have no addresses at all before the list is emptied.
	dnsEmptyGrace = time.Minute
)

// DNSDiscoverer asks DNS for the addresses of a name: all of them are peers, on the same port. In Kubernetes the name
// is that of a headless Service, with publishNotReadyAddresses: true if a pod waits for its peers before it is ready.
//
// An address that is new in an answer is a peer at once. One that is missing is a peer until it was missing from three
// answers in a row. A look-up that fails changes nothing, however long it goes on, and neither does an answer without
// any address, unless all answers of a whole minute were without and no look-up failed between them. (The standard
// resolver does not give such answers, it fails.)
//
// Every look-up may take 5 seconds.
type DNSDiscoverer struct {
	// Host is the name to look up, as mesh.default.svc.cluster.local.
	Host string

	// Port is the port that all peers listen on.
	Port int

	// Self is this pod, which is left out: its IP, or its host:port. The default is that nothing is left out.
	Self string

	// Interval is the time between two look-ups, give or take a fifth. The default, also for zero and below, is 5 s.
	Interval time.Duration

	// OnError hears of look-ups that fail and answers that cannot be used. See [Discoverer].
	OnError func(error)

	// LookupHost returns the addresses of host, for tests and resolvers of one's own. It has to return soon after its ctx
	// ends. An answer is refused whole if one of its addresses is neither an IP address nor a name. The default is the
	// LookupHost of [net.DefaultResolver].
	LookupHost func(ctx context.Context, host string) ([]string, error)
}

var _ Discoverer = (*DNSDiscoverer)(nil)

// Run looks for peers until ctx ends, see [Discoverer]. It returns the error of ctx, or at once what is wrong with Host,
// Port or Self.
func (d *DNSDiscoverer) Run(ctx context.Context, sync func(peers []string)) error {
	run, err := newDiscovery(fmt.Sprintf("peers of %s by DNS", d.Host), d.Self, d.OnError, sync)
	if err != nil {
		return err
	}
	if _, err := joinPeer(d.Host, d.Port); err != nil {
		return run.wrap(err)
	}
	var answers dnsAnswers
	look := func(ctx context.Context) ([]string, error) {
		peers, err := d.lookup(ctx)
		return answers.take(time.Now(), peers, err)
	}
	return run.poll(ctx, intervalOr(d.Interval, defaultDiscoverInterval), look)
}

// lookup returns one answer.
func (d *DNSDiscoverer) lookup(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	lookupHost := d.LookupHost
	if lookupHost == nil {
		lookupHost = net.DefaultResolver.LookupHost
	}
	hosts, err := lookupHost(ctx, d.Host)
	if err != nil {
		return nil, err
	}
	peers := make([]string, len(hosts))
	for i, host := range hosts {
		if peers[i], err = joinPeer(host, d.Port); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

var errDNSEmpty = errors.New("the answer has no addresses")

// dnsAnswers is the list that a row of answers amounts to: more than the last one says. It reads no clock.
type dnsAnswers struct {
	missed map[string]int // the list, and how many answers in a row lacked each; < dnsMisses
	empty  time.Time      // when the row of empty answers began, zero if the last one was not
}

// take returns the list after an answer, or why there is none: the one before then stays.
func (a *dnsAnswers) take(now time.Time, answer []string, err error) ([]string, error) {
	switch {
	case err != nil:
		a.empty = time.Time{}
		return nil, err
	case len(answer) > 0:
		a.empty = time.Time{}
		return a.merge(answer), nil
	case a.empty.IsZero():
		a.empty = now
	}
	if now.Sub(a.empty) < dnsEmptyGrace {
		return nil, errDNSEmpty
	}
	clear(a.missed)
	return nil, nil
}

// merge takes in an answer that has addresses.
func (a *dnsAnswers) merge(answer []string) []string {
	missed := make(map[string]int, len(answer))
	for p, n := range a.missed {
		if n+1 < dnsMisses {
			missed[p] = n + 1
		}
	}
	for _, p := range answer {
		missed[p] = 0
	}
	a.missed = missed
	list := make([]string, 0, len(missed))
	for p := range missed {
		list = append(list, p)
	}
	return list
}
