package podshare

import "sync/atomic"

// Stats is what a store counts of itself, since it was made or at this moment.
type Stats struct {
	WritesLocal      uint64 // writes made here; each key of a batch counts
	WritesApplied    uint64 // others' writes that changed something here
	WritesRejected   uint64 // others' writes that lost to a newer one
	Reads            uint64 // calls of Get, estimated from a sample of one in 16
	EventsDispatched uint64 // events put into watchers' channels
	WatchersActive   int
	WatchersDropped  uint64 // watchers closed because they fell behind
	Snapshots        uint64 // snapshots stored by this store
	SnapshotBytes    int64  // size of the last one
	Keys             int
	Tombstones       int // deleted keys that are remembered
	TombstonesGCed   uint64
}

// shellCounters are what the shell counts.
type shellCounters struct {
	publishes, publishedBytes, publishErrors atomic.Uint64
	received, receivedBytes, badFrames       atomic.Uint64
	errors, errorsDropped                    atomic.Uint64
	snapshots                                atomic.Uint64
	snapshotBytes                            atomic.Int64
}

// Stats returns the store's counters. Reads is an estimate, good over many keys or some 16 heartbeats: counting
// each read would cost Get a third of its time. The reads of a single hot key show in one of 16 heartbeats only, 16
// times too high.
func (s *Store[T]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.core.count
	return Stats{
		WritesLocal:      c.local,
		WritesApplied:    c.applied + c.repaired,
		WritesRejected:   c.rejected,
		Reads:            s.reads.total(),
		EventsDispatched: s.hub.dispatched,
		WatchersActive:   s.hub.count,
		WatchersDropped:  s.hub.dropped,
		Snapshots:        s.counts.snapshots.Load(),
		SnapshotBytes:    s.counts.snapshotBytes.Load(),
		Keys:             s.core.live,
		Tombstones:       s.core.tombs,
		TombstonesGCed:   c.collected,
	}
}
