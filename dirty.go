package podshare

// dirtySet is the keys whose state the stored snapshot lacks.
type dirtySet struct {
	keys map[string]struct{}
	own  bool // one of them was written here

	told, toldOwn bool // the snapshotter knows that there are any, and any of our own
}

func (d *dirtySet) add(key string, own bool) {
	d.own = d.own || own
	if d.keys == nil {
		d.keys = map[string]struct{}{}
	}
	d.keys[key] = struct{}{}
}
