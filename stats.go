package podshare

import (
	"errors"
	"sync/atomic"
)

// Stats is what a store counts of itself, since it was made or at this moment.
type Stats struct {
	WritesLocal      uint64 // writes made here; each key of a batch counts
	WritesApplied    uint64 // others' writes that changed something here
	WritesRejected   uint64 // others' writes that lost to a newer one
	WritesDuplicate  uint64 // others' writes that had been seen before
	WritesRefused    uint64 // others' writes, or batches, that could not be taken: too large, undecodable
	Reads            uint64 // calls of Get, estimated from a sample of one in 16
	EventsDispatched uint64 // events put into watchers' channels
	WatchersActive   int
	WatchersDropped  uint64 // watchers closed because they fell behind
	Snapshots        uint64 // snapshots stored by this store
	SnapshotBytes    int64  // size of the last one
	Keys             int    // keys held, as Len counts them
	Tombstones       int    // deleted keys that are remembered
	TombstonesGCed   uint64 // tombstones forgotten
	TombstonesForced uint64 // of these, those forgotten early because of Limits.Tombstones

	Peers   int // other pods that are heard
	Origins int // runs of stores that are remembered, this one among them

	Publishes      uint64 // frames handed to the transport
	PublishedBytes uint64
	PublishErrors  uint64
	QueueDrops     uint64 // frames given up because too much waited to be sent; repair delivers what was in them
	Frames         uint64 // frames received from other pods
	FrameBytes     uint64
	FramesBad      uint64 // of these: dropped, for they are corrupt, foreign, or not of this version
	FramesTooLarge uint64 // dropped, for they are beyond Limits.FrameBytes
	FramesMismatch uint64 // dropped, for their sender has another codec
	Heartbeats     uint64 // heartbeats sent
	Errors         uint64 // errors reported
	ErrorsDropped  uint64 // of these: not passed on, for the error handler fell behind

	Delay Delays // from a pod's sending of writes to their arrival here, by the two pods' clocks

	Gaps             uint64 // times something was found missing here
	Repairs          uint64 // exchanges begun here because of that
	RepairsFailed    uint64 // of these: not answered to the end
	RepairedWrites   uint64 // writes that repair brought
	RepairedBytes    uint64 // bytes of frames that it took
	RepairAnswers    uint64 // exchanges answered for others
	RepairSent       uint64 // writes sent in these
	Vanished         uint64 // writes found dead by comparison with another pod
	DigestMismatches uint64 // times two pods that had seen the same held something else: should be rare
}

// shellCounters are what the shell counts.
type shellCounters struct {
	publishes, publishedBytes, publishErrors atomic.Uint64
	received, receivedBytes                  atomic.Uint64
	badFrames, tooLarge, mismatches          atomic.Uint64
	errors, errorsDropped                    atomic.Uint64
	snapshots                                atomic.Uint64
	snapshotBytes                            atomic.Int64
}

// Stats returns the store's counters. Reads is an estimate, good over many keys or some 16 heartbeats: counting
// each read would cost Get a third of its time. The reads of a single hot key show in one of 16 heartbeats only, 16
// times too high.
func (s *Store[T]) Stats() Stats {
	s.lockLatched()
	defer s.mu.Unlock()
	c, n := &s.core.count, &s.counts
	return Stats{
		WritesLocal:      c.local,
		WritesApplied:    c.applied + c.repaired,
		WritesRejected:   c.rejected,
		WritesDuplicate:  c.duplicates,
		WritesRefused:    c.refused,
		Reads:            s.reads.total(),
		EventsDispatched: s.hub.dispatched,
		WatchersActive:   s.hub.count,
		WatchersDropped:  s.hub.dropped,
		Snapshots:        n.snapshots.Load(),
		SnapshotBytes:    n.snapshotBytes.Load(),
		Keys:             s.core.shownKeys(),
		Tombstones:       s.core.tombs,
		TombstonesGCed:   c.collected,
		TombstonesForced: c.forced,
		Peers:            len(s.core.peers.list),
		Origins:          s.core.origins.active,
		Publishes:        n.publishes.Load(),
		PublishedBytes:   n.publishedBytes.Load(),
		PublishErrors:    n.publishErrors.Load(),
		QueueDrops:       s.out.lost,
		Frames:           n.received.Load(),
		FrameBytes:       n.receivedBytes.Load(),
		FramesBad:        n.badFrames.Load(),
		FramesTooLarge:   n.tooLarge.Load(),
		FramesMismatch:   n.mismatches.Load(),
		Heartbeats:       c.heartbeats,
		Errors:           n.errors.Load(),
		ErrorsDropped:    n.errorsDropped.Load(),
		Delay:            c.delay,
		Gaps:             c.gaps,
		Repairs:          c.repairs,
		RepairsFailed:    c.repairsFailed,
		RepairedWrites:   c.repaired,
		RepairedBytes:    c.repairBytes,
		RepairAnswers:    c.answers,
		RepairSent:       c.repairSent,
		Vanished:         c.vanished,
		DigestMismatches: c.digestMismatches,
	}
}

// countRejected counts a frame that was dropped.
func (n *shellCounters) countRejected(err error) {
	switch {
	case errors.Is(err, ErrCodecMismatch):
		n.mismatches.Add(1)
	case errors.Is(err, ErrTooLarge):
		n.tooLarge.Add(1)
	default:
		n.badFrames.Add(1)
	}
}
