package transport

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// memoryTopics finds the subscriptions of a topic. Looking up takes no lock and does not allocate (a
// sync.Map would, to box the string); a change copies one shard, so that 10,000 topics can be built up
// without copying them all 10,000 times.
type memoryTopics struct {
	seed   maphash.Seed
	shards [64]memoryShard
}

// memoryShard holds the topics that hash to it.
type memoryShard struct {
	// mu serialises changes of table and closed.
	mu     sync.Mutex
	closed bool

	// table is never changed once stored, nor are its slices; no slice in it is empty.
	table atomic.Pointer[map[string][]*memorySubscription]
}

func (ts *memoryTopics) init() {
	ts.seed = maphash.MakeSeed()
	for i := range ts.shards {
		ts.shards[i].table.Store(&map[string][]*memorySubscription{})
	}
}

// subscribers returns the open subscriptions of topic. The slice is shared and must not be changed; a
// subscription in it may have ended meanwhile.
func (ts *memoryTopics) subscribers(topic string) []*memorySubscription {
	return (*ts.shard(topic).table.Load())[topic]
}

// add opens s on topic until ctx ends or the table is closed.
func (ts *memoryTopics) add(ctx context.Context, topic string, s *memorySubscription) error {
	sh := ts.shard(topic)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return ErrClosed
	}
	table := *sh.table.Load()
	sh.storeLocked(topic, append(slices.Clip(table[topic]), s))
	s.detach = context.AfterFunc(ctx, func() { sh.remove(topic, s) })
	return nil
}

// close ends every subscription; none can be added after.
func (ts *memoryTopics) close() {
	for i := range ts.shards {
		ts.shards[i].close()
	}
}

func (ts *memoryTopics) shard(topic string) *memoryShard {
	return &ts.shards[maphash.String(ts.seed, topic)%uint64(len(ts.shards))]
}

func (sh *memoryShard) remove(topic string, s *memorySubscription) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return // close ended it
	}
	table := *sh.table.Load()
	sh.storeLocked(topic, slices.DeleteFunc(slices.Clone(table[topic]), func(x *memorySubscription) bool { return x == s }))
	s.end()
}

func (sh *memoryShard) close() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.closed = true
	for _, subs := range *sh.table.Swap(&map[string][]*memorySubscription{}) {
		for _, s := range subs {
			s.detach()
			s.end()
		}
	}
}

// storeLocked publishes a table in which topic has the subscriptions subs.
func (sh *memoryShard) storeLocked(topic string, subs []*memorySubscription) {
	table := maps.Clone(*sh.table.Load())
	if len(subs) == 0 {
		delete(table, topic)
	} else {
		table[topic] = subs
	}
	sh.table.Store(&table)
}
