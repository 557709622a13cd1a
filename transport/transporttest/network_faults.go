package transporttest

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrInjected is wrapped by the errors that a [Network] was asked for.
var ErrInjected = errors.New("transporttest: injected fault")

// Faults are what happens to frames on a link, the way from one pod to another. Numbers without a unit are
// probabilities per frame, from 0, never, to 1, always. The zero Faults are none.
//
// Invalid faults (a probability outside 0 … 1, a negative duration, MinDelay above MaxDelay) make the function
// that they are given to panic.
type Faults struct {
	Drop      float64 // the frame is lost
	Duplicate float64 // the frame comes twice; each copy is delayed, reordered and corrupted by itself
	Corrupt   float64 // up to 4 bits are flipped, or the end is missing
	Reorder   float64 // the frame is held back, by up to ReorderBy, while later ones go on

	// ReorderBy is how long a reordered frame is held back at the most, in addition to its delay. Zero
	// means 10 ms.
	ReorderBy time.Duration

	// Each frame takes a time between MinDelay and MaxDelay, or longer if needed to stay behind the frame
	// sent before it. Only Reorder lets frames overtake.
	MinDelay, MaxDelay time.Duration
}

const defaultReorderBy = 10 * time.Millisecond

// PodFaults are what happens to the calls that one pod makes. All are probabilities per call, from 0, never,
// to 1, always; others make [Network.SetPodFaults] panic.
type PodFaults struct {
	PublishError float64 // Publish fails, and the frame reaches nobody
	PublishStuck float64 // Publish waits until its ctx ends or the endpoint closes; the frame reaches nobody
	StoreError   float64 // Snapshot and FetchSnapshot fail, for this pod alone
}

// StoreFaults are what happens in the snapshot store. All are probabilities per call, from 0, never, to
// 1, always; others make [Network.SetStoreFaults] panic.
type StoreFaults struct {
	SnapshotError float64 // Snapshot fails and stores nothing
	FetchError    float64 // FetchSnapshot fails
	Stale         float64 // FetchSnapshot returns an older version, or nil where there is none
	Corrupt       float64 // FetchSnapshot returns flipped bits, or the end is missing
}

// SetFaults sets the faults of all links that have none of their own, for frames published from now on.
func (n *Network) SetFaults(f Faults) {
	f.mustBeValid()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// SetLinkFaults sets the faults of the link from one pod to another, instead of those of the network.
func (n *Network) SetLinkFaults(from, to string, f Faults) {
	f.mustBeValid()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.linkLocked(route{from, to}).faults = &f
}

// SetPodFaults sets the faults of the calls that a pod makes, also after a restart.
func (n *Network) SetPodFaults(name string, f PodFaults) {
	mustBeProbabilities(f, f.PublishError, f.PublishStuck, f.StoreError)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.podLocked(name).faults = f
}

// SetStoreFaults sets the faults of the snapshot store, for all pods.
func (n *Network) SetStoreFaults(f StoreFaults) {
	mustBeProbabilities(f, f.SnapshotError, f.FetchError, f.Stale, f.Corrupt)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.store.faults = f
}

// Calm ends all faults, of links, pods and the store, and heals all cuts. Frames that are under way still
// arrive when they were due, and calls that are stuck stay so.
func (n *Network) Calm() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts = nil
	n.faults = Faults{}
	n.store.faults = StoreFaults{}
	for _, l := range n.links {
		l.faults = nil
	}
	for _, p := range n.podOrder {
		p.faults = PodFaults{}
	}
}

func (f Faults) mustBeValid() {
	mustBeProbabilities(f, f.Drop, f.Duplicate, f.Corrupt, f.Reorder)
	if f.MinDelay < 0 || f.MaxDelay < f.MinDelay || f.ReorderBy < 0 {
		panic(fmt.Sprintf("transporttest: need 0 ≤ MinDelay ≤ MaxDelay and ReorderBy ≥ 0 in %+v", f))
	}
}

func mustBeProbabilities(faults any, ps ...float64) {
	for _, p := range ps {
		if p < 0 || p > 1 || math.IsNaN(p) {
			panic(fmt.Sprintf("transporttest: probability %v outside 0 … 1 in %+v", p, faults))
		}
	}
}
