// Package sim runs replicas against each other in virtual time: a network that loses, repeats, delays, reorders,
// corrupts and partitions, clocks that are wrong and jump, pods that crash, return or leave, a snapshot store that
// fails. Everything follows from one seed.
//
// It knows nothing of how a replica works. The test of a replica adapts it to [Machine], and either scripts a
// [World] by hand or lets [Random] do it. An oracle knows every write that was issued, its order and what its author
// had seen, and checks after each step what readers and watchers are shown; [World.Converge] checks what remains.
//
//	World ──▶ Pod ──▶ Machine           the replica under test
//	  │        └────▶ watcher           what its watchers heard of each key
//	  ├─────▶ network, SnapshotStore    the faults
//	  └─────▶ oracle                    all writes, and what may remain of them
//
// The first violation ends a run; [Run] returns it.
package sim
