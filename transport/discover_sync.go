package transport

import "slices"

// meshPeers is what of a mesh can be changed while it runs.
type meshPeers interface {
	AddPeer(addr string) bool    // whether it was new
	RemovePeer(addr string) bool // whether it was there
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
