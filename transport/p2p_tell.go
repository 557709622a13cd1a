package transport

// p2pWho is a peer as OnConnect and OnDisconnect name it.
type p2pWho struct {
	remote  string
	inbound bool
}

// peersChanged has tell called soon. Whoever serves a connection does not wait for callbacks.
func (t *P2PTransport) peersChanged() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *P2PTransport) runTell() {
	for {
		select {
		case <-t.changed:
			t.tell()
		case <-t.ctx.Done(): // Close tells the end
			return
		}
	}
}

// tell calls OnConnect for the peers that are connected and OnDisconnect for those that are not, if that is not what was
// told last: who comes and goes meanwhile is not told. One goroutine at a time calls it.
func (t *P2PTransport) tell() {
	connected := map[p2pID]p2pWho{}
	t.mu.Lock()
	for id, p := range t.peers {
		connected[id] = p2pWho{p.conn.remote, p.conn.inbound}
	}
	t.mu.Unlock()
	for id, who := range t.told {
		if _, ok := connected[id]; !ok {
			delete(t.told, id)
			call(t.options.OnDisconnect, who)
		}
	}
	for id, who := range connected {
		if _, ok := t.told[id]; !ok {
			t.told[id] = who
			call(t.options.OnConnect, who)
		}
	}
}

func call(fn func(remote string, inbound bool), who p2pWho) {
	if fn == nil {
		return
	}
	defer func() { _ = recover() }() // there is nobody to tell
	fn(who.remote, who.inbound)
}
