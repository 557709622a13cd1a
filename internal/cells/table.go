package cells

import (
	"hash/maphash"
	"iter"
)

const (
	// maxBuckets bounds a table, and with it the longest pause of a writer. 512 buckets are 32 KiB, the
	// smallest size that the allocator starts at a page, so that each bucket is exactly a cache line. (In
	// smaller sizes a header of 8 bytes comes first; but those tables are few and stay in the cache.)
	maxBuckets = 512

	// maxLoad is the mean number of entries in a bucket above which its table grows. At 5 of 7 one key in
	// 20 is not in its home bucket; just after growing (2.5 of 7) the index takes 26 bytes an entry.
	maxLoad = 5
)

// table holds the entries whose hash ends in the depth bits of first. An entry does not move while its
// table lives; growing fills new tables and leaves the old one as it was, to the readers and views that
// still hold it.
//
// Of a hash, the low bits choose the table, bits 32 and up the bucket, and the highest byte is the tag.
type table[V any] struct {
	buckets []bucket[V] // a power of two
	first   uint64      // the lowest index at which the directory has this table
	depth   uint8       // first < 1<<depth ≤ len(directory.tables)
	count   int         // entries; the writer's
}

func newTable[V any](buckets int, first uint64, depth uint8) *table[V] {
	return &table[V]{buckets: make([]bucket[V], buckets), first: first, depth: depth}
}

// bucket returns the bucket that is i behind the home bucket of h, and its index.
func (t *table[V]) bucket(h uint64, i int) (*bucket[V], int) {
	at := int(h>>32+uint64(i)) & (len(t.buckets) - 1)
	return &t.buckets[at], at
}

// place is where a slot is.
type place struct {
	distance int // of its bucket from the home bucket of its key
	slot     int // in that bucket
}

// find returns the entry of key and its place, or nil. It is what readers run.
func (t *table[V]) find(h uint64, key string) (*Entry[V], place) {
	want := tags(h)
	for distance := range t.buckets { // bounds the search; the counters end nearly all at 0 or 1
		b, _ := t.bucket(h, distance)
		ctrl := b.ctrl.Load()
		for m := matches(ctrl, want); m != 0; m &= m - 1 {
			i := firstMatch(m)
			if e := b.slots[i].Load(); e != nil && e.Key == key {
				return e, place{distance, i}
			}
		}
		if ctrl < passedOne {
			break
		}
	}
	return nil, place{}
}

// tagged yields what find would compare with a key of hash h.
func (t *table[V]) tagged(h uint64) iter.Seq[*Entry[V]] {
	return func(yield func(*Entry[V]) bool) {
		for distance := range t.buckets {
			b, _ := t.bucket(h, distance)
			ctrl := b.ctrl.Load()
			for m := matches(ctrl, tags(h)); m != 0; m &= m - 1 {
				if e := b.slots[firstMatch(m)].Load(); e != nil && !yield(e) {
					return
				}
			}
			if ctrl < passedOne {
				return
			}
		}
	}
}

// reserve prepares an empty slot for a key that the table does not hold.
func (t *table[V]) reserve(h uint64) place {
	for distance := 0; ; distance++ { // ends: a table that is not full has an empty slot
		b, _ := t.bucket(h, distance)
		if i := b.free(); i >= 0 {
			b.setTag(i, h)
			t.count++
			return place{distance, i}
		}
		b.passOn()
	}
}

// release undoes reserve after the slot was emptied.
func (t *table[V]) release(h uint64, p place) {
	for distance := range p.distance {
		b, _ := t.bucket(h, distance)
		b.takeBack()
	}
	t.count--
}

func (t *table[V]) full() bool { return t.count >= maxLoad*len(t.buckets) }

// entries returns what t holds.
func (t *table[V]) entries() []*Entry[V] {
	entries := make([]*Entry[V], 0, t.count)
	for i := range t.buckets {
		for j := range t.buckets[i].slots {
			if e := t.buckets[i].slots[j].Load(); e != nil {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

// grown returns what replaces t: a table of twice its size or, where that would be too big, two that
// share its keys by one more bit of their hashes.
func (t *table[V]) grown(seed maphash.Seed) []*table[V] {
	parts := []*table[V]{newTable[V](2*len(t.buckets), t.first, t.depth)}
	if len(t.buckets) == maxBuckets {
		parts = []*table[V]{
			newTable[V](maxBuckets, t.first, t.depth+1),
			newTable[V](maxBuckets, t.first|1<<t.depth, t.depth+1),
		}
	}
	// First every hash, then the stores: no load begins before an atomic store is through, so one loop would
	// wait for the cache misses of each entry by themselves. Splitting one of 1M keys' tables took 0.56 ms
	// that way, 0.36 ms this way.
	entries := t.entries()
	hashes := make([]uint64, len(entries))
	for i, e := range entries {
		hashes[i] = maphash.String(seed, e.Key)
	}
	for i, h := range hashes {
		part := parts[h>>t.depth&uint64(len(parts)-1)]
		p := part.reserve(h)
		b, _ := part.bucket(h, p.distance)
		b.slots[p.slot].Store(entries[i])
	}
	return parts
}

// directory finds the table of a hash by its low bits. It is immutable, so a view keeps the tables of its
// moment by keeping the directory. The copy that each growth makes instead costs 8 bytes for every 2,000
// entries of the map.
type directory[V any] struct {
	tables []*table[V] // a power of two; a table of depth d is at every 1<<d-th index from its first on
}

func (d *directory[V]) table(h uint64) *table[V] {
	return d.tables[h&uint64(len(d.tables)-1)]
}

// has reports whether t, which may be younger than d, is one of its tables.
func (d *directory[V]) has(t *table[V]) bool {
	return t.first < uint64(len(d.tables)) && d.tables[t.first] == t
}

// with returns a directory in which parts stand where the table that they replace stood.
func (d *directory[V]) with(parts []*table[V]) *directory[V] {
	n := max(len(d.tables), 1<<parts[0].depth)
	tables := make([]*table[V], 0, n)
	for len(tables) < n {
		tables = append(tables, d.tables...)
	}
	for _, t := range parts {
		for i := t.first; i < uint64(n); i += 1 << t.depth {
			tables[i] = t
		}
	}
	return &directory[V]{tables: tables}
}
