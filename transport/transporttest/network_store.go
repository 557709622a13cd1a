package transporttest

import (
	"bytes"
	"fmt"
)

// storeHistory is how many versions of a snapshot the store keeps for Stale and RollbackStore.
const storeHistory = 16

// snapshotStore keeps the snapshots of all pods, with their history. Network.mu guards it.
type snapshotStore struct {
	faults   StoreFaults
	rng      rng
	versions map[string][][]byte // by topic, oldest first, at most storeHistory; the slices never change
}

func newSnapshotStore(r rng) snapshotStore {
	return snapshotStore{rng: r, versions: map[string][][]byte{}}
}

// FlushStore removes all snapshots and their history.
func (n *Network) FlushStore() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.store.versions)
}

// RollbackStore forgets the newest versions of each snapshot, as a store does that was restored from a
// backup. A topic that never had more than this many is left without a snapshot; 16 versions are remembered.
func (n *Network) RollbackStore(versions int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for topic, history := range n.store.versions {
		n.store.versions[topic] = history[:max(0, len(history)-max(0, versions))]
	}
}

// putSnapshotLocked stores a copy of data. It draws the same number of random values in every case.
func (n *Network) putSnapshotLocked(p *pod, topic string, data []byte) error {
	s := &n.store
	podFails, storeFails := p.rng.happens(p.faults.StoreError), s.rng.happens(s.faults.SnapshotError)
	if podFails || storeFails {
		n.stats.StoreErrors++
		return fmt.Errorf("pod %s: Snapshot(%q): %w", p.name, topic, ErrInjected)
	}
	history := append(s.versions[topic], bytes.Clone(data))
	if len(history) > storeHistory {
		history = history[1:]
	}
	s.versions[topic] = history
	return nil
}

// fetchSnapshotLocked returns a copy of what is stored, or of what the faults make of it. It draws the same
// number of random values in every case.
func (n *Network) fetchSnapshotLocked(p *pod, topic string) ([]byte, error) {
	s := &n.store
	podFails, storeFails := p.rng.happens(p.faults.StoreError), s.rng.happens(s.faults.FetchError)
	stale, age := s.rng.happens(s.faults.Stale), s.rng.Float64()
	corrupt, damage := s.rng.happens(s.faults.Corrupt), s.rng.Uint64()
	if podFails || storeFails {
		n.stats.StoreErrors++
		return nil, fmt.Errorf("pod %s: FetchSnapshot(%q): %w", p.name, topic, ErrInjected)
	}
	history := s.versions[topic]
	if len(history) == 0 {
		return nil, nil
	}
	newest := len(history) - 1
	data := history[newest]
	if stale {
		n.stats.StaleFetches++
		if newest == 0 {
			return nil, nil
		}
		data = history[int(age*float64(newest))]
	}
	if len(data) == 0 {
		return nil, nil // stored empty, which is as good as none
	}
	if corrupt {
		n.stats.CorruptedFetches++
		return corrupted(data, damage), nil
	}
	return bytes.Clone(data), nil
}
