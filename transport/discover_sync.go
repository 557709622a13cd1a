package transport

import "slices"

// meshPeers is what of a mesh can be changed while it runs.
type meshPeers interface {
	AddPeer(addr string) bool    // whether it was new
	RemovePeer(addr string) bool // whether it was there
}

// SyncPeers returns what to give to a [Discoverer]'s Run: a function that connects t to the peers of a list, and ends the
// connections to those that it added before and that are not in the list. It leaves [P2POptions].Peers, and what else was added,
// alone. Call it, and start Run, before stores are opened on t: a store that starts waits for the first list, up to
// SnapshotTimeout, so that it does not take itself for the only one. The function may not be called twice at the same
// time.
func SyncPeers(t *P2PTransport) func(peers []string) {
	sync, found := syncPeers(t), t.awaitDiscovery()
	return func(peers []string) {
		sync(peers)
		found()
	}
}

// syncPeers returns the function that gives a discoverer's lists to t. It removes no peer that it has not added: what
// was there before it stays, in a list or not.
func syncPeers(t meshPeers) func(peers []string) {
	added := map[string]bool{}
	return func(peers []string) {
		for _, p := range peers { // first, so that a pod whose peers all change is never alone
			if !added[p] && t.AddPeer(p) {
				added[p] = true
			}
		}
		for p := range added {
			if !slices.Contains(peers, p) { // O(n²) of short strings, when a list has changed
				t.RemovePeer(p)
				delete(added, p)
			}
		}
	}
}
