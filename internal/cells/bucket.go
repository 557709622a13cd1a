package cells

import (
	"math/bits"
	"sync/atomic"
)

// slotsPerBucket pointers and one word of control fill a cache line of 64 bytes.
const slotsPerBucket = 7

// slot holds an entry, or nil. Storing to it is the moment at which a write happens, for every reader.
type slot[V any] = atomic.Pointer[Entry[V]]

// bucket is one cache line of a table. Readers load its fields in any order, so at every moment
//
//	slots[i] holds key  ⇒  byte i of ctrl is the tag of key
//	key was passed on   ⇒  the counter of each bucket it was passed on by is not 0
//
// where a key is passed on by its home bucket, and by those behind it, when they are full. The writer
// therefore sets tag and counters before it fills a slot, and lowers counters after it emptied one. The
// tag of an empty slot means nothing and is left as it was.
//
// Linear probing over slots of {hash, pointer} read 10 % faster (24 ns for 27 at 10k keys), but took 33
// bytes an entry where this takes 17 (1M keys), and its removals leave tombstones.
type bucket[V any] struct {
	ctrl  atomic.Uint64 // bytes 0…6: tags; byte 7, the highest: the counter
	slots [slotsPerBucket]slot[V]
}

const (
	tagOnes  = 0x00_01_01_01_01_01_01_01 // 1 in the byte of each slot
	tagHighs = 0x00_80_80_80_80_80_80_80

	passedOne = 1 << 56
	passedMax = 0xff * passedOne
)

// tags returns a word with the tag of h in the byte of each slot.
func tags(h uint64) uint64 { return h >> 56 * tagOnes }

// matches returns a word whose set bits are the high bits of the bytes in which ctrl and tags agree, and
// now and then of a byte above such a one.
func matches(ctrl, tags uint64) uint64 {
	x := ctrl ^ tags
	return (x - tagOnes) &^ x & tagHighs
}

// firstMatch returns the slot of the lowest match.
func firstMatch(matches uint64) int { return bits.TrailingZeros64(matches) / 8 }

// setTag makes the tag of h that of slot i.
func (b *bucket[V]) setTag(i int, h uint64) {
	shift := 8 * i
	b.ctrl.Store(b.ctrl.Load()&^(0xff<<shift) | h>>56<<shift)
}

// free returns the lowest empty slot, or -1.
func (b *bucket[V]) free() int {
	for i := range b.slots {
		if b.slots[i].Load() == nil {
			return i
		}
	}
	return -1
}

// passOn notes that one more key of this bucket is kept behind it. A counter that reached its maximum no
// longer knows how many there are and stays there until its table is replaced.
func (b *bucket[V]) passOn() {
	if ctrl := b.ctrl.Load(); ctrl < passedMax {
		b.ctrl.Store(ctrl + passedOne)
	}
}

// takeBack undoes one passOn.
func (b *bucket[V]) takeBack() {
	if ctrl := b.ctrl.Load(); ctrl < passedMax {
		b.ctrl.Store(ctrl - passedOne)
	}
}
