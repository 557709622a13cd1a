package podshare

// unstoredWrites says what the stored snapshot lacks of a replica's state, as far as nobody has looked.
type unstoredWrites struct {
	any, own         bool // a write or a collection; a write that was made here
	look             bool // what is stored is to be looked at all the same
	toldAny, toldOwn bool // the snapshotter knows

	// For a table:
	tracked bool        // keys are noted
	paused  bool        // what changes comes from the table
	loaded  tableVector // what the table covered when this store loaded it, since the last merge
	keys    []changedKey
	all     bool // too many to note: any key may have changed
	room    int  // of keys, before they are gone through; 0: the least
}

// changedKey is a key whose state changed. A state that changed without a new write does not show in the vector.
type changedKey struct {
	key   string
	quiet bool // the same write expired, lapsed, vanished or was collected
}

// Of the list of changed keys: its least length at which doubles are taken out, and how many keys it may have beyond
// twice those held before it is given up for a full comparison.
const (
	minChangedRoom   = 4096
	maxChangedBeyond = 1 << 16
)

// noteChange notes that next has taken the place of cur; nil for a key that is gone.
func (r *replica[T]) noteChange(key string, cur, next *entry[T]) {
	u := &r.unstored
	u.any = true // other places may lack what comes from the table
	if u.paused {
		return
	}
	u.own = u.own || next != nil && next.Val.origin == self
	if !u.tracked || u.all {
		return
	}
	quiet := next == nil || next.Val.flags&(flagExpired|flagLapsed) != 0 ||
		cur != nil && !r.origins.older(&cur.Val.write, &next.Val.write) // it is what remains of a join
	u.keys = append(u.keys, changedKey{key, quiet})
	if len(u.keys) > max(u.room, minChangedRoom) {
		changed := map[string]bool{}
		u.collect(changed)
		if len(changed) > r.maxChanged() {
			u.all = true
			return
		}
		for key, quiet := range changed {
			u.keys = append(u.keys, changedKey{key, quiet})
		}
		u.room = 2 * len(u.keys)
	}
}

func (r *replica[T]) maxChanged() int { return 2*(r.live+r.tombs) + maxChangedBeyond }

// collect moves the list of changed keys to a map from keys to whether they changed quietly, and reports whether any
// key may have changed.
func (u *unstoredWrites) collect(into map[string]bool) (all bool) {
	for _, c := range u.keys {
		into[c.key] = into[c.key] || c.quiet
	}
	all = u.all
	clear(u.keys)
	u.keys, u.all, u.room = u.keys[:0], false, 0
	return all
}
