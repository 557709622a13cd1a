// Package podsharetest helps to test programs that are built on podshare: a [Cluster] is a few stores on a
// network that breaks on demand, pods that die and return, and clocks that are wrong.
//
// # Use
//
//	func TestFlagsSurviveAPartition(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) { // fake time: minutes pass at once
//			c := podsharetest.NewCluster[bool](t, 3)
//			c.Cut(0)
//			c.Store(0).Set(t.Context(), "dark-mode", true)
//			c.Store(1).Set(t.Context(), "new-search", true)
//			c.Advance(time.Minute)
//			c.Heal()
//			c.WaitConverged()
//			// now all three hold both flags
//		})
//	}
//
// The pods of a cluster are named "pod-0", "pod-1", …, which are their node IDs too; methods take the numbers.
//
//   - The network: [Cluster.Cut], [Cluster.CutOneWay] and [Cluster.Heal]; [Cluster.SetFaults] makes it lossy or
//     slow, as a whole or around single pods, [Cluster.SetPodFaults] fails the calls of one pod, [Cluster.Calm]
//     ends all of it. [Cluster.Network] has the rest, such as a snapshot store that is flushed.
//   - The pods: [Cluster.Kill] (a crash: no goodbye), [Cluster.Stop] (a clean end), [Cluster.Restart] (perhaps
//     with other options: a rolling upgrade), [Cluster.Add] (a late joiner), [Cluster.SkewClock].
//   - The outcome: [Cluster.WaitConverged] and [Cluster.WaitFor]; [Cluster.Errors] is what stores reported that
//     no caller was told.
//
// Nothing has to be closed: the cluster ends with the test, its goroutines too.
//
// # Fake time
//
// Made inside a testing/synctest bubble, a cluster lives in fake time: heartbeats, time-outs and tombstone TTLs
// take no time, and a run depends on no machine's speed. Outside of one everything works as well, in real time,
// but for [Cluster.Advance]. The cluster notices by itself where it is.
//
// In a bubble
//
//   - create the cluster, and all that uses it, inside: channels and timers must not cross its border;
//   - do not wait for a channel while holding a mutex that others want: a goroutine that waits for a mutex does not
//     count as waiting, so that time stands still and the test hangs;
//   - do no network or file I/O that waits, for the same reason: net.Pipe instead of a TCP connection;
//   - end your goroutines with the test: a bubble waits for all of them. For one that runs until its ctx ends
//     t.Context() is enough;
//   - let one goroutine at a time call the waiting methods: Advance, WaitFor, WaitConverged.
//
// # Repeating a run
//
// What is random comes from a seed, which a failing test logs. Set the environment variable
// PODSHARETEST_SEED to it, or use [WithSeed], and the same happens to the n-th frame of each link, and
// [Cluster.Rand] returns the same numbers. Heartbeats have a jitter of their own and goroutines run in any order,
// so a frame may be the n-th in one run and the next one in another: a seed makes a failure likely to return, not
// certain. Draw the choices of a randomised test from Cluster.Rand, so that they come back exactly.
//
// # Pitfalls
//
//   - WaitConverged says that the pods agree, not on what: check the contents afterwards, of one pod.
//   - Pods agree again when writers pause. Do not wait while others write.
//   - After Restart, [Cluster.Store] returns another store. Rebuild on it whatever used the old one.
//   - A killed pod's writes that reached nobody are gone; that is what a crash means.
//   - The values that stores return are shared, as in production: read them only.
package podsharetest
