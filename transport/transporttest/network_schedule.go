package transporttest

import (
	"context"
	"slices"
	"time"
)

// flight is one frame on its way.
type flight struct {
	due   time.Time
	link  *link
	topic string
	msg   []byte
}

// schedule holds what is under way, sorted by due; what is due at one time is in order of sending. Most frames
// are due after all others, which makes a sorted slice cheaper than a heap here.
type schedule []flight

// add puts f behind all that are due before it or at the same time.
func (s *schedule) add(f flight) {
	i, _ := slices.BinarySearchFunc(*s, f.due, func(g flight, due time.Time) int {
		if g.due.After(due) {
			return 1
		}
		return -1
	})
	*s = slices.Insert(*s, i, f)
}

// remove takes out the flights that match, and returns how many they were.
func (s *schedule) remove(match func(flight) bool) int {
	before := len(*s)
	*s = slices.DeleteFunc(*s, match)
	return before - len(*s)
}

// deliverDue runs on the timer.
func (n *Network) deliverDue() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.deliverDueLocked(time.Now())
	}
}

// deliverDueLocked hands over what has arrived by now, and sets the timer for the rest.
func (n *Network) deliverDueLocked(now time.Time) {
	arrived := 0
	for arrived < len(n.schedule) && !n.schedule[arrived].due.After(now) {
		n.deliverLocked(n.schedule[arrived])
		arrived++
	}
	n.schedule = slices.Delete(n.schedule, 0, arrived)
	if len(n.schedule) == 0 {
		return
	}
	wait := n.schedule[0].due.Sub(now)
	if n.timer == nil {
		n.timer = time.AfterFunc(wait, n.deliverDue)
	} else {
		n.timer.Reset(wait)
	}
}

// deliverLocked hands a frame to the present endpoint of its pod.
func (n *Network) deliverLocked(f flight) {
	e := f.link.to.endpoint
	if e.hub.Subscribers(f.topic) == 0 { // or it is closed
		n.stats.Missed++
		return
	}
	n.stats.Delivered++
	_ = e.hub.Publish(context.Background(), f.topic, f.msg) // fails only when it is closed meanwhile
}
