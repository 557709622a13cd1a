package podsharetest

import (
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// Option sets up a [Cluster].
type Option interface{ apply(c *config) }

type option func(c *config)

func (o option) apply(c *config) { o(c) }

// config is what the options of a cluster come to.
type config struct {
	seed          *uint64       // nil: from the environment, or random
	patience      time.Duration // 0: the default
	panicsAllowed bool
	network       []transporttest.NetworkOption
	stores        []any // each a []podshare.Option[T]; NewCluster knows T
}

// WithSeed sets the seed of all that is random; see the package documentation for what it repeats. The default is
// the environment variable PODSHARETEST_SEED, or without that a new seed for each cluster.
func WithSeed(seed uint64) Option {
	return option(func(c *config) { c.seed = &seed })
}

// WithStoreOptions adds options for the stores of all pods. T must be that of the cluster. Node ID, clock and error
// handler are the cluster's, whatever is given here: see [Cluster.Name], [Cluster.SkewClock] and [Cluster.Errors].
func WithStoreOptions[T any](opts ...podshare.Option[T]) Option {
	return option(func(c *config) { c.stores = append(c.stores, opts) })
}

// WithNetworkOptions adds options for the network, such as [transporttest.WithEcho], which makes it behave as most
// brokers do.
func WithNetworkOptions(opts ...transporttest.NetworkOption) Option {
	return option(func(c *config) { c.network = append(c.network, opts...) })
}

// WithPatience sets how long [Cluster.WaitFor] and [Cluster.WaitConverged] wait before they fail the test. The
// default, which zero means too, is 30 s of fake time, or 10 s of real time. Stores converge within four seconds
// of the end of all faults, in clusters of up to 14 pods; with faults going on it takes as long as it takes.
func WithPatience(d time.Duration) Option {
	return option(func(c *config) { c.patience = d })
}

// WithPanicsAllowed lets a test pass though a store reported that a callback panicked: a Merger, a codec, a filter. A
// store survives that and reports [podshare.ErrPanic], which [Cluster.Errors] returns; by default it also fails the
// test, as it would go unnoticed otherwise. A panic that a caller was told of, as the error of a Set, is the caller's.
func WithPanicsAllowed() Option {
	return option(func(c *config) { c.panicsAllowed = true })
}
