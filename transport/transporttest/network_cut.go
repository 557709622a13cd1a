package transporttest

import "slices"

// A cut severs routes until Heal.
type cut interface {
	severs(r route) bool
}

// oneWay severs a single route.
type oneWay route

func (c oneWay) severs(r route) bool { return route(c) == r }

// island severs the pods that it lists from all others, also from those that come later.
type island []string

func (c island) severs(r route) bool {
	return slices.Contains(c, r.from) != slices.Contains(c, r.to)
}

// CutOneWay loses all frames from one pod to another, also those under way. Frames in the other direction go on.
func (n *Network) CutOneWay(from, to string) { n.addCut(oneWay{from, to}) }

// Cut separates the given pods, as one group, from all the rest: frames between the two sides are lost, also
// those under way. Cuts add up. The snapshot store stays in reach of everybody; [PodFaults] can take it away.
func (n *Network) Cut(pods ...string) { n.addCut(island(slices.Clone(pods))) }

// Heal ends all cuts. Other faults stay; [Network.Calm] ends everything.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts = nil
}

// addCut also loses what is under way: a frame sent before the cut must not arrive after Heal.
func (n *Network) addCut(c cut) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts = append(n.cuts, c)
	n.stats.Cut += uint64(n.schedule.remove(func(f flight) bool { return c.severs(f.link.route) }))
}

func (n *Network) isCutLocked(r route) bool {
	return slices.ContainsFunc(n.cuts, func(c cut) bool { return c.severs(r) })
}
