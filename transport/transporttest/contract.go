package transporttest

import (
	"testing"
	"time"
)

// defaultPatience is long enough for a loaded machine and a broker in a container.
const defaultPatience = 10 * time.Second

// Run tests that a transport keeps the contract that the stores rely on. newTransport returns a new, working
// transport whenever it is called, and may use t to clean up; Run closes the transport itself.
//
// The suite demands no more than the contract: frames may come twice, in any order, and back to their sender,
// and may be lost while a subscription is new or overloaded. Therefore it first waits for a subscription
// to work, and then has only a few frames under way at a time. Transports that allow a topic one
// subscription say so with [transport.ErrTopicInUse].
//
// By default one transport both publishes and receives. One that does not hand a pod its own frames needs
// [WithPair]. Topics are new in every run, so that a broker may be shared. Do not run other tests in parallel:
// goroutines are counted.
func Run(t *testing.T, newTransport func(t *testing.T) Transport, opts ...Option) {
	t.Helper()
	c := config{patience: defaultPatience}
	for _, opt := range opts {
		opt.apply(&c)
	}
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			w := world{TB: t, patience: c.patience}
			w.newTransport = func() Transport { return newTransport(t) }
			if c.newPair != nil {
				w.newPair = func() (from, to Transport) { return c.newPair(t) }
			}
			r.check(w)
		})
	}
}

// Option configures [Run].
type Option interface{ apply(c *config) }

type config struct {
	newPair  func(t *testing.T) (from, to Transport)
	patience time.Duration
}

type optionFunc func(c *config)

func (f optionFunc) apply(c *config) { f(c) }

// WithPair sets how to get two connected transports, as two pods would have them: what is published on from,
// or stored as a snapshot there, can be received on to. The default is one transport in both roles.
func WithPair(newPair func(t *testing.T) (from, to Transport)) Option {
	return optionFunc(func(c *config) { c.newPair = newPair })
}

// WithPatience sets how long the suite waits for what must happen before it calls the rule broken. The
// default, also for zero, is 10 s; a transport that keeps the contract never makes it wait that long.
func WithPatience(d time.Duration) Option {
	return optionFunc(func(c *config) {
		if d > 0 {
			c.patience = d
		}
	})
}

// rule is one sentence of the contract.
type rule struct {
	name  string
	check func(w world)
}

func rules() []rule {
	return []rule{
		{"a frame reaches every subscriber of its topic", frameReachesEverySubscriber},
		{"a frame reaches no subscriber of another topic", frameStaysOnItsTopic},
		{"a topic can be any text", topicCanBeAnyText},
		{"a large frame arrives whole", largeFrameArrivesWhole},
		{"publishing without a subscriber is no error", publishingWithoutSubscriber},
		{"several goroutines can publish", severalGoroutinesCanPublish},
		{"subscribers come and go while others publish", subscribersComeAndGo},
		{"a subscriber that does not read holds up nobody", idleSubscriberHoldsUpNobody},

		{"a subscription ends with its context", subscriptionEndsWithContext},
		{"a subscription ends when the transport closes", subscriptionEndsWithTransport},
		{"a topic can be subscribed to again", topicCanBeSubscribedAgain},
		{"an ended context starts no subscription", endedContextStartsNoSubscription},

		{"a missing snapshot is nil without an error", missingSnapshotIsNil},
		{"a snapshot is fetched as it was stored", snapshotIsFetchedAsStored},
		{"a snapshot replaces the one before", snapshotReplaces},
		{"snapshot slices belong to the caller", snapshotSlicesBelongToCaller},

		{"a closed transport returns errors", closedTransportReturnsErrors},
		{"closing twice is no error", closingTwice},
		{"closing while others publish is safe", closingWhileOthersPublish},
		{"an ended subscription leaves no goroutine", endedSubscriptionLeavesNoGoroutine},
		{"a closed transport leaves no goroutine", closedTransportLeavesNoGoroutine},
	}
}
