package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/crdt"
)

// window is the time for which a quota holds.
const window = time.Minute

// limiter admits requests of a client up to a quota for each window, on all pods together. Deciding takes no network: it
// reads what this pod knows of the others' counts.
//
// So more than the quota may be admitted: what the others admit while their news is under way. With n pods that is at
// most what n − 1 of them admit within the delay of the network, and during a partition what each side admits by
// itself, the quota at most. Who must never exceed a quota needs one place that counts, and a trip to it for each
// request; who would rather admit less than more takes the expected excess off the quota.
type limiter struct {
	store *podshare.Store[crdt.GCounter]
	node  string // counts under this name, which is of this run
	quota uint64
	now   func() time.Time
}

func newLimiter(ctx context.Context, t podshare.Transport, name string, quota uint64, now func() time.Time) (*limiter, error) {
	store, err := podshare.New(ctx, "rate-limit", t,
		podshare.WithNodeID[crdt.GCounter](name), podshare.WithMerger(crdt.GCounter.Merge))
	if err != nil {
		return nil, err
	}
	return &limiter{store: store, node: crdt.NewReplica(name).ID(), quota: quota, now: now}, nil
}

// allow reports whether a request of the client is admitted, and counts it if so.
func (l *limiter) allow(ctx context.Context, client string) (admitted bool, err error) {
	key := client + "/" + l.window(0)
	err = l.store.Update(ctx, key, func(count crdt.GCounter, _ bool) (crdt.GCounter, bool) {
		admitted = count.Value() < l.quota
		// Only this pod's own count is sent, and joined with those of the others.
		return crdt.GCounter{}.Add(l.node, count.Of(l.node)+1), admitted
	})
	if errors.Is(err, podshare.ErrBroadcast) {
		err = nil // counted here, and repair tells the others
	}
	return admitted && err == nil, err
}

// sweep deletes the counts of windows that are over. Nobody adds to them any more, so a Delete brings nothing back; the
// window before this one is spared, for pods whose clocks are a little behind.
func (l *limiter) sweep(ctx context.Context) error {
	var over []string
	for _, key := range l.store.Keys() {
		if !strings.HasSuffix(key, "/"+l.window(0)) && !strings.HasSuffix(key, "/"+l.window(-1)) {
			over = append(over, key)
		}
	}
	return l.store.DeleteMany(ctx, over)
}

// window names the present window, or one before or after it.
func (l *limiter) window(offset int) string {
	return l.now().Add(time.Duration(offset) * window).UTC().Truncate(window).Format("2006-01-02 15:04")
}
