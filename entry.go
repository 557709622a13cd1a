package podshare

import (
	"sync/atomic"

	"github.com/podshare/podshare/internal/cells"
	"github.com/podshare/podshare/internal/wire"
)

// flags of a write. Those that travel have the values of the wire.
type flags = wire.Flags

const (
	flagDeleted = wire.FlagDelete  // a tombstone: a delete
	flagExpired = wire.FlagExpired // a tombstone: the write's own dot, past its deadline
	flagLapsed  = wire.FlagLapsed  // a tombstone: the write's own dot, its owner gone
	flagSeed    = wire.FlagSeed    // class seed: ordered below every real write
	flagOwned   = wire.FlagOwned   // lives as long as its origin

	flagsDead = flagDeleted | flagExpired | flagLapsed
	flagsSent = flagsDead | flagSeed | flagOwned
)

// write is the identity, order and state of one write: all of it but key and value.
type write struct {
	stamp  int64
	seq    uint64
	origin origin
	flags  flags
}

func (w *write) dot() dot   { return dot{w.origin, w.seq} }
func (w *write) dead() bool { return w.flags&flagsDead != 0 }

// entry is the state of one key, immutable once it is in the index.
type entry[T any] = cells.Entry[item[T]]

// item is the newest write of a key with its value, or, with a Merger, the newest of its parts with the
// value folded from all of them. 48 bytes without the value; whatever few entries need is in ext.
type item[T any] struct {
	write
	ext   *ext[T] // nil for most; may be shared by the entries of a batch
	value T
}

// ext holds what only some entries have. Immutable, like the entry.
type ext[T any] struct {
	commit   *commit[T] // hides the entry until its group is complete; nil: visible
	batch    batchRange // the batch that wrote it
	deadline int64      // ns since the Unix epoch; 0: none
	owner    *owner     // of an owned entry
	encoded  []byte     // the value as the codec wrote it, for stores that keep it (see keepsEncoded)
	replaced []dot      // of a tombstone: what it replaced at its writer
	join     *join[T]   // with a Merger: what the entry is folded from
	passing  bool       // a live part of join has a deadline or an owner
}

// lasting reports whether the entry is served for as long as it is in the index: it has no deadline and no owner.
func (x *ext[T]) lasting() bool { return x.deadline == 0 && x.owner == nil && !x.passing }

// settled reports whether the entry is lasting, and its group complete.
func (x *ext[T]) settled() bool { return x.lasting() && (x.commit == nil || x.commit.done.Load()) }

// batchRange names the dots of a batch: first to first+n-1 of the write's origin. n is 0 outside a batch.
type batchRange struct {
	first, n uint64
}

// commit makes several entries visible at once: until done, readers see what before holds. Readers never
// wait: they look up the state of the moment.
type commit[T any] struct {
	done   atomic.Bool
	before atomic.Pointer[group[T]] // set before an entry of the group is in the index, nil once done
}

// previous returns what a reader must see instead of an entry of the unfinished group c, and false if the
// group has been completed meanwhile.
func (c *commit[T]) previous(key string) (*entry[T], bool) {
	if c.done.Load() {
		return nil, false
	}
	before := c.before.Load()
	if before == nil {
		return nil, false // finished between the two loads: before is cleared after done was set
	}
	return before.steps[before.keys[key]].before, true
}

// finish makes the group visible. The order of the two stores is what previous relies on.
func (c *commit[T]) finish() {
	c.done.Store(true)
	c.before.Store(nil)
}

// visible returns the entry that a reader sees at this moment where the index holds e, or nil.
func visible[T any](e *entry[T]) *entry[T] {
	for e != nil && e.Val.ext != nil && e.Val.ext.commit != nil {
		prev, hidden := e.Val.ext.commit.previous(e.Key)
		if !hidden {
			break
		}
		e = prev
	}
	return e
}

// owner of the entry, nil for none. With a Merger its parts have owners, not the entry.
func (it *item[T]) owner() *owner {
	if it.ext == nil {
		return nil
	}
	return it.ext.owner
}

// older reports whether a is ordered before b: by class, stamp, node, sequence number, boot. The order is
// total and the same on every replica, whatever the clocks said.
func (os *origins) older(a, b *write) bool {
	if seedA, seedB := a.flags&flagSeed, b.flags&flagSeed; seedA != seedB && !os.oneClass {
		return seedA != 0
	}
	if a.stamp != b.stamp {
		return a.stamp < b.stamp
	}
	if a.origin == b.origin {
		return a.seq < b.seq
	}
	oa, ob := os.at(a.origin), os.at(b.origin)
	if oa.node != ob.node {
		return oa.node < ob.node
	}
	if a.seq != b.seq {
		return a.seq < b.seq
	}
	return oa.id.Boot < ob.id.Boot
}
