package transporttest

import "time"

// route names a link by the pods at its ends.
type route struct{ from, to string }

// link is the way from one pod to another. Network.mu guards it.
type link struct {
	route
	to      *pod
	faults  *Faults // nil: those of the network
	rng     rng
	lastDue time.Time // of the newest frame that was not reordered; the next one is not due before
}

// linkLocked returns the link of a route, creating it at its first mention.
func (n *Network) linkLocked(r route) *link {
	l := n.links[r]
	if l == nil {
		l = &link{route: r, to: n.podLocked(r.to), rng: newRNG(n.seed, "link", r.from, r.to)}
		n.links[r] = l
	}
	return l
}

// sendLocked puts a frame on its way. It draws the same number of random values in every case.
func (n *Network) sendLocked(now time.Time, l *link, topic string, msg []byte) {
	n.stats.Sent++
	faults := n.faults
	if l.faults != nil {
		faults = *l.faults
	}
	drop, duplicate := l.rng.happens(faults.Drop), l.rng.happens(faults.Duplicate)
	first, second := l.drawCopy(faults), l.drawCopy(faults)
	switch {
	case n.isCutLocked(l.route):
		n.stats.Cut++
		return
	case drop:
		n.stats.Dropped++
		return
	}
	n.sendCopyLocked(now, l, topic, msg, first)
	if duplicate {
		n.stats.Duplicated++
		n.sendCopyLocked(now, l, topic, msg, second)
	}
}

// copyFaults are what happens to one of the two possible copies of a frame.
type copyFaults struct {
	delay    time.Duration
	holdBack time.Duration // > 0: reordered
	corrupt  bool
	damage   uint64 // seeds the corruption
}

func (l *link) drawCopy(f Faults) copyFaults {
	if f.ReorderBy == 0 {
		f.ReorderBy = defaultReorderBy
	}
	c := copyFaults{delay: l.rng.between(f.MinDelay, f.MaxDelay)}
	reorder, holdBack := l.rng.happens(f.Reorder), l.rng.between(1, f.ReorderBy)
	if reorder {
		c.holdBack = holdBack
	}
	c.corrupt, c.damage = l.rng.happens(f.Corrupt), l.rng.Uint64()
	return c
}

func (n *Network) sendCopyLocked(now time.Time, l *link, topic string, msg []byte, c copyFaults) {
	due := now.Add(c.delay)
	if c.holdBack > 0 {
		n.stats.Reordered++
		due = due.Add(c.holdBack)
	} else {
		if due.Before(l.lastDue) {
			due = l.lastDue
		}
		l.lastDue = due
	}
	if c.corrupt && len(msg) > 0 {
		n.stats.Corrupted++
		msg = corrupted(msg, c.damage)
	}
	if due.After(now) {
		n.stats.Delayed++
	}
	n.schedule.add(flight{due: due, link: l, topic: topic, msg: msg})
}
