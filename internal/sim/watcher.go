package sim

// watcher is what the watchers of one run of a pod were told.
type watcher struct {
	pod     *Pod
	last    map[string]Event // by key, since it was last forgotten
	changed []string         // keys with events since the last check
	steps   int
}

func newWatcher(p *Pod) watcher { return watcher{pod: p, last: map[string]Event{}} }

// told checks one event. G6: per key, a watcher sees versions that never fall and no duplicates. With Merge parts may
// change hands while version and value stay.
func (w *watcher) told(e Event) {
	p, o := w.pod, &w.pod.world.oracle
	p.world.Tracef("%s watches %s %s %s %v", p.Name, e.Kind, e.Key, clip(e.Value), e.Version)
	p.world.Stats.Events++
	last, known := w.last[e.Key]
	w.last[e.Key] = e
	w.changed = append(w.changed, e.Key)
	if e.Kind != Set && (!known || last.Kind != Set) {
		p.world.Fail("G6", "%s: %s of %s (%v) after %s", p.Name, e.Kind, e.Key, e.Version, or(string(last.Kind), "nothing"))
	}
	if known {
		order := e.Version.Compare(last.Version)
		switch {
		case order < 0 && !p.world.Merge:
			p.world.Fail("G6", "%s: versions of %s fall from %v to %v", p.Name, e.Key, last.Version, e.Version)
		case order == 0 && e.Kind == last.Kind && e.Value == last.Value && !p.world.Merge:
			p.world.Fail("G6", "%s: %s of %s %v comes twice", p.Name, e.Kind, e.Key, e.Version)
		case order == 0 && e.Kind == Set && last.Kind != Set && !p.world.Merge:
			if x := o.byDot[e.Version.Dot]; x == nil || !x.Owned || last.Kind == Delete {
				p.world.Fail("G3", "%s: %s %v is shown again after %s", p.Name, e.Key, e.Version, last.Kind)
			}
		}
	}
	if e.Kind == Set {
		w.checkResurrection(e)
	}
}

// G3: a deleted key never comes back.
func (w *watcher) checkResurrection(e Event) {
	p, o := w.pod, &w.pod.world.oracle
	for _, value := range o.elements(e.Value) {
		x := o.named[value]
		if x == nil || x.Owned {
			continue // a write of this moment, or one that may be written again
		}
		if d := o.removed(x, func(d *write) bool { return p.m.Covers(d.version.Dot) }); d != nil {
			p.world.Fail("G3", "%s shows %v, though it has seen %v", p.Name, x, d)
		}
	}
}

// forget drops what was told of keys that are forgotten: they start anew.
func (w *watcher) forget() {
	for _, key := range w.pod.world.oracle.keys {
		if last, known := w.last[key]; known && last.Kind != Set {
			if _, held := w.pod.m.Held(key); !held {
				w.forgot(key)
			}
		}
	}
}

func (w *watcher) forgot(key string) {
	delete(w.last, key)
	for _, r := range w.pod.readers {
		r.forgot(key)
	}
}

// adoptState takes what is held for what was told: seeds cause no events where they are planted.
func (w *watcher) adoptState() {
	at := w.pod.Instant()
	for _, key := range w.pod.m.Keys() {
		v, _ := w.pod.m.Held(key)
		if value, ok := w.pod.m.Get(at, key); ok && v.Seed {
			w.last[key] = Event{Kind: Set, Key: key, Value: value, Version: v}
			w.changed = append(w.changed, key)
		}
	}
}
