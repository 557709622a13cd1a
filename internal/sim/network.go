package sim

import (
	"bytes"
	"time"
)

// Network is what lies between the pods. Its faults may be changed at any time.
type Network struct {
	Drop, Duplicate, Corrupt, Late float64       // probabilities
	Delay                          time.Duration // the longest, usually
	LateDelay                      time.Duration // the longest of late frames
	Again                          float64       // probability that a frame for one pod comes again, a while later

	// Filter, if set, sees every frame on its way from one pod to another, and drops it by returning false.
	Filter func(from, to *Pod, f Frame) bool

	cut map[[2]string]bool
}

func (n *Network) init() {
	n.cut = map[[2]string]bool{}
	n.Delay = 5 * time.Millisecond
	n.LateDelay = 5 * time.Second
}

// againDelay is the longest delay of a frame that comes again: about as long as an exchange may take.
const againDelay = 2 * time.Second

// Cut separates the pod from the others named, from all if none is.
func (w *World) Cut(name string, others ...string) {
	w.each(name, others, func(o string) {
		w.cut[[2]string{name, o}] = true
		w.cut[[2]string{o, name}] = true
	})
}

// CutOneWay stops frames from one pod to another.
func (w *World) CutOneWay(from, to string) { w.cut[[2]string{from, to}] = true }

// Heal connects the pod with the others named, with all if none is.
func (w *World) Heal(name string, others ...string) {
	w.each(name, others, func(o string) {
		delete(w.cut, [2]string{name, o})
		delete(w.cut, [2]string{o, name})
	})
}

// HealAll connects everybody and ends all faults of the network.
func (w *World) HealAll() {
	clear(w.cut)
	w.healed = w.queue.now
	w.Drop, w.Duplicate, w.Corrupt, w.Late, w.Again, w.Filter = 0, 0, 0, 0, 0, nil
	w.Tracef("network healed")
}

func (w *World) each(name string, others []string, do func(o string)) {
	w.Pod(name)
	if len(others) == 0 {
		for _, p := range w.pods {
			if p.Name != name {
				do(p.Name)
			}
		}
	}
	for _, o := range others {
		do(o)
	}
}

// send puts a frame on its way to everybody it is for.
func (w *World) send(from *Pod, f Frame) {
	if w.Trace != nil && f.Kind != "heartbeat" {
		w.Tracef("%s → %s %s %d B", from.Name, or(f.To, "all"), f.Kind, len(f.Bytes))
	}
	for _, to := range w.pods {
		if f.To != "" && to.Node != f.To || to == from && w.rng.IntN(8) != 0 {
			continue
		}
		w.deliver(from, to, f)
	}
}

func (w *World) deliver(from, to *Pod, f Frame) {
	if w.chance(w.Drop) || w.Filter != nil && !w.Filter(from, to, f) {
		return
	}
	w.Pass(from, to, f)
	if w.chance(w.Duplicate) {
		w.Pass(from, to, f)
	}
	if f.To != "" && w.chance(w.Again) {
		w.pass(from, to, f, againDelay)
	}
}

// Pass delivers a frame some time later, unless the pods are separated by then or were when it was sent.
func (w *World) Pass(from, to *Pod, f Frame) {
	longest := w.Delay
	if w.chance(w.Late) {
		longest = w.LateDelay
	}
	w.pass(from, to, f, longest)
}

func (w *World) pass(from, to *Pod, f Frame, longest time.Duration) {
	link := [2]string{from.Name, to.Name}
	if w.cut[link] {
		return
	}
	delay := w.rng.Int64N(int64(longest) + 1)
	corrupt := w.chance(w.Corrupt)
	sent := Frame{To: f.To, Kind: f.Kind, Bytes: bytes.Clone(f.Bytes)}
	if corrupt {
		bit := w.rng.IntN(8 * len(sent.Bytes))
		sent.Bytes[bit/8] ^= 1 << (bit % 8)
	}
	run := from.id
	w.queue.after(delay, func() {
		if to.m != nil && !w.cut[link] {
			to.receive(from, run, sent, corrupt)
		}
	})
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
