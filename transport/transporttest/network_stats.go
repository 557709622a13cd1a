package transporttest

// Stats counts what a [Network] did. Frames are counted per link, that is, once for each other pod that was
// subscribed to the topic when the frame was published:
//
//	Sent + Duplicated = Delivered + Missed + Dropped + Cut + InFlight
type Stats struct {
	Sent       uint64 // frames that started
	Delivered  uint64 // frames that arrived at a subscribed pod
	Missed     uint64 // arrived when the pod was no longer subscribed, or the network closed first
	Dropped    uint64 // lost by Faults.Drop
	Cut        uint64 // lost to a cut
	InFlight   int    // still on their way
	Duplicated uint64 // came into being by Faults.Duplicate
	Reordered  uint64 // held back by Faults.Reorder
	Corrupted  uint64 // damaged by Faults.Corrupt
	Delayed    uint64 // did not arrive at once, for whatever reason

	Overflowed uint64 // lost behind arrival to a full queue, once for each subscription

	PublishErrors uint64 // calls failed by PodFaults.PublishError
	PublishStuck  uint64 // calls caught by PodFaults.PublishStuck

	StoreErrors      uint64 // calls failed by PodFaults.StoreError, StoreFaults.SnapshotError or FetchError
	StaleFetches     uint64 // fetches answered with an older version
	CorruptedFetches uint64 // fetches answered with damaged data
}

// Stats returns the counters as they are now.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.stats
	s.InFlight = len(n.schedule)
	for _, p := range n.podOrder {
		if p.endpoint != nil && !p.endpoint.closed {
			s.Overflowed += p.endpoint.hub.Dropped()
		}
	}
	return s
}
