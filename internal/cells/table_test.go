package cells

import (
	"fmt"
	"testing"
	"unsafe"
)

// bytes returns the size of the index: all that the map holds but entries and keys.
func (m *Map[V]) bytes() int {
	dir := m.dir.Load()
	n := int(unsafe.Sizeof(*m)+unsafe.Sizeof(*dir)) + 8*len(dir.tables)
	for i, t := range dir.tables {
		if t.first == uint64(i) {
			n += int(unsafe.Sizeof(*t)) + len(t.buckets)*int(unsafe.Sizeof(t.buckets[0]))
		}
	}
	return n
}

func TestBucketIsACacheLine(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		equal(t, 64, unsafe.Sizeof(bucket[value]{}), "bytes")
	}
}

func TestMatchesMissesNoTag(t *testing.T) {
	for tag := range uint64(256) {
		for i := range slotsPerBucket {
			for _, others := range []uint64{0, ^uint64(0), 0x8001_8001_8001_8001} {
				var b bucket[int]
				b.ctrl.Store(others)
				b.setTag(i, tag<<56)
				m := matches(b.ctrl.Load(), tags(tag<<56))
				check(t, m&(0x80<<(8*i)) != 0, "tag %x is seen in slot %d", tag, i)
				check(t, m>>56 == 0, "the counter is no tag")
			}
		}
	}
}

// put and remove do for one table what Map does, with a hash of the test's choice.
func (t *table[V]) put(h uint64, e *Entry[V]) {
	p := t.reserve(h)
	b, _ := t.bucket(h, p.distance)
	b.slots[p.slot].Store(e)
}

func (t *table[V]) remove(h uint64, key string) {
	_, p := t.find(h, key)
	b, _ := t.bucket(h, p.distance)
	b.slots[p.slot].Store(nil)
	t.release(h, p)
}

// Keys whose hashes are the same in all that counts are found, and leave nothing behind once they are removed.
func TestCollidingKeysLeaveNothingBehind(t *testing.T) {
	for _, h := range []uint64{0, ^uint64(0), 0xab00_0007_0000_0000} {
		tab := newTable[int](64, 0, 0)
		keys := keysOf(60)
		for _, k := range keys {
			tab.put(h, &Entry[int]{Key: k})
		}
		for _, k := range keys {
			e, _ := tab.find(h, k)
			check(t, e != nil, "%q is found", k)
		}
		for i := range keys {
			tab.remove(h, keys[i])
			for j, k := range keys {
				e, _ := tab.find(h, k)
				equal(t, j > i, e != nil, "key %d is found when %d were removed", j, i+1)
			}
		}
		for i := range tab.buckets {
			check(t, tab.buckets[i].ctrl.Load() < passedOne, "the counter of bucket %d is back at 0", i)
		}
	}
}

// A counter that overflowed never says that there is nothing behind its bucket.
func TestFullCounterStaysFull(t *testing.T) {
	tab := newTable[int](64, 0, 0)
	keys := keysOf(300)
	for _, k := range keys {
		tab.put(0, &Entry[int]{Key: k})
	}
	for _, k := range keys[:299] {
		tab.remove(0, k)
	}
	e, _ := tab.find(0, keys[299])
	check(t, e != nil, "the last key is found")
}

// Even where every bucket passed keys on, a search ends.
func TestSearchIsBounded(t *testing.T) {
	tab := newTable[int](4, 0, 0)
	for i := range tab.buckets {
		tab.buckets[i].passOn()
	}
	e, _ := tab.find(0, "absent")
	equal(t, nil, e, "entry of an absent key")
}

func TestIndexTakesAtMost30BytesAnEntry(t *testing.T) {
	m := New[struct{}]()
	check(t, m.bytes() <= 300, "an empty map takes %d bytes", m.bytes())
	for i, k := range keysOf(60_000) {
		m.Put(&Entry[struct{}]{Key: k})
		if n := i + 1; n >= 1_000 && n%500 == 0 {
			check(t, m.bytes() <= 30*n, "%d bytes for %d keys", m.bytes(), n)
		}
	}
}

// "A map that stays below n entries stays at the size it has for n": other keys come and go for ever.
func TestChurnDoesNotGrowTheMap(t *testing.T) {
	for _, n := range []int{3, 1_000, 9_000} {
		m := New[int]()
		key := func(i int) string { return fmt.Sprint("key", i) }
		for i := range n {
			m.Put(&Entry[int]{Key: key(i)})
		}
		for i := n; i < 10*n; i++ {
			m.Remove(key(i - n))
			m.Put(&Entry[int]{Key: key(i)})
		}
		equal(t, n, m.Len(), "Len")
		// Tables split by chance when their share is above the mean; twice the bound for growth covers it.
		check(t, m.bytes() <= 300+60*n, "%d bytes for %d keys", m.bytes(), n)
		valid(t, m)
	}
}

// No Put copies more than one table.
func TestTablesStaySmall(t *testing.T) {
	m := New[int]()
	for _, k := range keysOf(50_000) {
		before := m.dir.Load()
		m.Put(&Entry[int]{Key: k})
		after := m.dir.Load()
		if before == after {
			continue
		}
		made := 0
		for i, tab := range after.tables {
			if tab.first == uint64(i) && !before.has(tab) {
				made += len(tab.buckets)
			}
		}
		check(t, made <= 2*maxBuckets, "%d buckets made by one Put", made)
	}
	check(t, len(m.dir.Load().tables) > 1, "tables were split")
	valid(t, m)
}
