// Package podshare keeps a map in step on every pod of a service.
//
// A [Store] is a map[string]T that each pod holds in full. Reads are reads of local memory. Writes are applied
// here at once and sent to the other pods over a [Transport]; whatever the transport loses, the stores notice
// and repair themselves. It is made for state that every pod must agree on soon, without one more server to
// run: feature flags, routing tables, kill switches, quotas, hot caches.
//
// # Use
//
//	t := transport.NewMemoryTransport() // connects the stores of one process
//	flags, err := podshare.New[bool](ctx, "flags", t)
//	if err != nil {
//		return err
//	}
//	defer flags.Close()
//
//	err = flags.Set(ctx, "dark-mode", true) // soon on every pod of the topic
//	on, ok := flags.Get("dark-mode")        // never waits
//	for ev := range flags.Watch(ctx) {      // from any pod
//		…
//	}
//
// [Store.SetMany] and [Store.DeleteMany] change several keys in one step. [Store.TrySet] writes if nobody on
// this store was faster. [Store.Seed] gives an empty store its defaults. [WithMerger] joins concurrent writes
// of a key where otherwise the newest wins. [Store.Update] changes a value by what it was. [Store.SetTTL] and
// [Store.SetOwned] store what ends by itself: after a time, or with this pod. [Store.Health] says how a pod stands to
// the others, [Store.Ready] whether it has caught up with them.
//
// # Guarantees
//
// They hold on any Transport; DESIGN.md says why, and which test shows each.
//
//   - Convergence: once faults stop, stores that differ notice it within three heartbeats (a heartbeat takes a
//     second or more, see DESIGN.md) and the exchange that follows makes them equal. Nobody calls anything.
//   - No lost write: the newest write of a key remains everywhere; with a Merger the join of all writes that no
//     delete removed.
//   - No resurrection: a deleted key stays deleted, also when a pod returns after longer than the tombstone
//     TTL ([WithTombstoneTTL]).
//   - Causality: a write by someone who had seen another write of the key is ordered after it, whatever the
//     clocks say.
//   - Atomic batches: readers of any pod see all of a SetMany or DeleteMany, or nothing of it.
//   - Honest watches: per key, versions never fall, nothing comes twice, and the last event is what Get returns.
//     Events are never lost silently: the channel is closed and [ErrWatcherLagged] reported.
//   - Reads never wait, and Get allocates nothing.
//   - Everything is bounded: queues, frames, values, tombstones; see [Limits].
//   - Bad input is harmless: a frame that is corrupt, foreign or of the future is reported and dropped whole.
//   - A clean end: [Store.Close] sends what waits, stores the snapshot and leaves no goroutine behind.
//   - A pod that is cut off says so: [Store.Health], and a [HealthError] to the error handler.
//   - Expiry: a key with a TTL is never served past its deadline, an owned key not beyond its owner's lease, and each
//     watcher gets one [EventExpire].
//
// There are no linearizable reads and no locks across pods: two pods may read different values at the same
// time, and TrySet guards against other callers of the same store only.
//
// # What callers owe
//
//   - Values are shared: what Get, Watch and Snapshot return is to be read only. Who changes it hurts this pod.
//   - All stores of a topic use the same codec and agree on having a Merger; [ErrCodecMismatch] says if not.
//     Fields may be added to T: the default [JSONCodec] ignores those that it does not know.
//   - The Transport is the caller's: it is closed after the stores.
//   - Watchers are read. One that is further behind than [WithWatchBuffer] is closed: watch again, and look at
//     the present state for what was missed.
//   - Errors that no caller waits for go to [WithErrorHandler] and [WithLogger]; by default nobody hears of
//     them. Set one.
//
// # Errors
//
// [ErrBroadcast] is the only error of a write that was applied: it could not be sent yet, and repair delivers
// it. Every other error means that nothing has changed.
//
// # Tests
//
// Stores on one MemoryTransport see each other's writes within microseconds, and run inside testing/synctest,
// where heartbeats take no time. Package transport/transporttest has a network that drops, delays,
// duplicates, reorders, corrupts and partitions from a seed, and the contract that a Transport owes as a test
// suite. Package podsharetest makes clusters on it, whose pods are cut off, killed and restarted, and waits until
// they agree.
package podshare
