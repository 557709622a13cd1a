package podsharetest

import "github.com/podshare/podshare/transport/transporttest"

// Cut separates the given pods, as one group, from all the others and from the snapshot store. Frames between the
// two sides are lost, also those under way. Cuts add up. Only pods that have heard of others notice that they are
// cut off; those of a new cluster have.
func (c *Cluster[T]) Cut(pods ...int) {
	c.tb.Helper()
	cut := make([]*pod[T], len(pods))
	names := make([]string, len(pods))
	for k, i := range pods {
		cut[k] = c.pod(i)
		names[k] = cut[k].name
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net.Cut(names...)
	for _, p := range cut {
		p.cut = true
		c.applyFaultsLocked(p)
	}
}

// CutOneWay loses what one pod sends to another, also what is under way. The other direction and the snapshot store
// stay as they are.
func (c *Cluster[T]) CutOneWay(from, to int) {
	c.tb.Helper()
	c.net.CutOneWay(c.Name(from), c.Name(to))
}

// Heal ends all cuts. Other faults stay; [Cluster.Calm] ends everything.
func (c *Cluster[T]) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net.Heal()
	for _, p := range c.pods {
		p.cut = false
		c.applyFaultsLocked(p)
	}
}

// SetFaults sets what happens to frames from now on: loss, delay, reordering and more, see
// [transporttest.Faults]. With pods given it concerns all links from and to these, among the pods that the cluster
// has now, and outdoes what is set for all links; without, all links for which nothing else was set.
func (c *Cluster[T]) SetFaults(f transporttest.Faults, pods ...int) {
	c.tb.Helper()
	if len(pods) == 0 {
		c.net.SetFaults(f)
		return
	}
	for _, i := range pods {
		name := c.Name(i)
		for _, other := range c.all() {
			if other.name != name {
				c.net.SetLinkFaults(name, other.name, f)
				c.net.SetLinkFaults(other.name, name, f)
			}
		}
	}
}

// SetPodFaults sets what happens to the calls that pod i makes of its transport: publishes that fail or hang, a
// snapshot store that it cannot use. It stays through restarts.
func (c *Cluster[T]) SetPodFaults(i int, f transporttest.PodFaults) {
	c.tb.Helper()
	p := c.pod(i)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.faults = f
	c.applyFaultsLocked(p)
}

// Calm ends all faults and cuts. Frames that are under way still arrive when they were due. Clocks stay as they are.
func (c *Cluster[T]) Calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net.Calm()
	for _, p := range c.pods {
		p.faults, p.cut = transporttest.PodFaults{}, false
	}
}

// applyFaultsLocked tells the network what happens to the calls of a pod. A cut takes the snapshot store away in
// addition to what else was asked for.
func (c *Cluster[T]) applyFaultsLocked(p *pod[T]) {
	f := p.faults
	if p.cut {
		f.StoreError = 1
	}
	c.net.SetPodFaults(p.name, f)
}
