// Package cells is the index of a store: a hash map from key to an immutable [Entry] whose readers take
// no lock.
//
// # Use
//
// Any number of goroutines may call [Map.Get], [Map.GetBytes] and [Map.Len] at any time. Everything else
// changes the map and needs one writer at a time: the caller holds its own mutex around [Map.Put],
// [Map.Remove] and [Map.View]. The goroutine that walks a [View] needs no lock.
//
// # Guarantees
//
//   - A read never waits: it takes no lock, allocates nothing and looks at a bounded number of buckets.
//   - Reads are linearizable: an entry is visible to every read that starts after Put returned, and to
//     none that starts after Remove returned.
//   - A view holds each key that was present when it was taken exactly once, with the entry it had then,
//     whatever the writer does meanwhile; and it does not hold up the writer.
//   - No Put copies more than one table (at most 2,560 entries) and the directory (8 bytes for about
//     2,000 entries).
//   - Removing leaves nothing behind: a map that stays below n entries stays at the size it has for n.
//     Like the builtin map, it never gets smaller.
//
// # What callers owe
//
// An entry must not be changed once it was put, and must not be put under another key. Every view is walked
// to its end or closed.
//
// # Structure
//
//	Map ──▶ directory ──▶ table ──▶ bucket (one cache line) ──▶ Entry
//	        immutable     1…512     7 tags, a counter,
//	        (a copy per   buckets   7 pointers
//	        growth)
//
// It is extendible hashing: a full table is replaced by one of twice the size, and from 512 buckets on
// by two tables that share its keys, so the cost of growing stays the same however big the map is.
//
// The pointer in a bucket is the truth and the only thing whose change readers can tell. The tags and the
// counter merely say where looking is useless, so they may say "look" too often, never too seldom.
//
// # Handles
//
// An entry keeps its slot until its key is removed or its table is replaced. A handle to one key is
// therefore possible at no cost to others: it would remember table and slot and read the slot, then a
// flag "replaced" in the table (which growth would have to set), then compare the key; when one of them
// disagrees it falls back to Get and remembers the new place.
package cells
