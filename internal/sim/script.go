package sim

import "time"

// Pods starts pods and lets them find each other.
func (w *World) Pods(names ...string) {
	for _, name := range names {
		w.Pod(name)
	}
	w.Settle()
}

// Settle gives the pods three heartbeats.
func (w *World) Settle() { w.Advance(3 * w.Interval()) }

// Want requires a value of a key on the pods named, on all that live if none is.
func (w *World) Want(key, value string, names ...string) {
	for _, p := range w.named(names) {
		if got, ok := p.m.Get(p.Instant(), key); !ok || got != value {
			w.Fail("script", "%s serves %s=%q, want %q", p.Name, key, got, value)
		}
	}
}

// WantAbsent requires that a key is not served by the pods named, by all that live if none is.
func (w *World) WantAbsent(key string, names ...string) {
	for _, p := range w.named(names) {
		if got, ok := p.m.Get(p.Instant(), key); ok {
			w.Fail("script", "%s serves %s=%q, want none", p.Name, key, got)
		}
	}
}

// WantForgotten requires that nothing is held of a key, not even a tombstone.
func (w *World) WantForgotten(key string, names ...string) {
	for _, p := range w.named(names) {
		if v, held := p.m.Held(key); held {
			w.Fail("script", "%s holds %s (%v), want nothing", p.Name, key, v)
		}
	}
}

// Version returns what a pod holds of a key, and whether it holds anything.
func (p *Pod) Version(key string) (Version, bool) { return p.m.Held(key) }

// Tick lets the pod do what is due at this moment.
func (p *Pod) Tick() { p.tick() }

func (w *World) named(names []string) []*Pod {
	if len(names) == 0 {
		return w.Live()
	}
	pods := make([]*Pod, 0, len(names))
	for _, name := range names {
		pods = append(pods, w.Pod(name))
	}
	return pods
}

// Forget lets the time pass after which all tombstones of now are collected.
func (w *World) Forget() { w.Advance(w.TombstoneTTL + 20*time.Second) }

// WantCaughtUp requires that the pods named think that they have caught up, or that they do not.
func (w *World) WantCaughtUp(want bool, names ...string) {
	for _, p := range w.named(names) {
		if p.m.CaughtUp() != want {
			w.Fail("script", "%s thinks that it has caught up: %v", p.Name, !want)
		}
	}
}
