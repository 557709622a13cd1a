// Package crdt has value types whose concurrent changes join: counters, sets, maps, maxima. As the values of
// a [podshare.Store] with a Merger they let every pod change a key at once, without asking anybody, and without
// one change overwriting another.
//
//	visits, err := podshare.New(ctx, "visits", t, podshare.WithMerger(crdt.GCounter.Merge))
//
// The types are the state-based CRDTs of Shapiro, Preguiça, Baquero and Zawirski, "A comprehensive study of
// Convergent and Commutative Replicated Data Types" (INRIA RR-7506, 2011). [ORSet] keeps no tombstones, after
// Bieniusa et al., "An optimized conflict-free replicated set" (INRIA RR-8083, 2012), with the causal contexts of
// Almeida, Shoker and Baquero, "Delta state replicated data types" (JPDC 111, 2018).
//
// # Values
//
// Every type is a value: methods that change it return a new one and leave the receiver as it was, so what a
// Store serves to its readers stays as it is. The zero value is the empty state. Values share memory; they may
// be copied, kept, and read by any goroutine.
//
// Merge is commutative, associative and idempotent, and every change is a step upwards: x.Merge(changed x) is
// the changed x. A method expression such as GCounter.Merge is a Merger.
//
// Equal states have equal encodings, as JSON and as msgpack. Decoding accepts what an encoder of these types may
// have written, puts into order what is out of order, and returns an error for the rest. JSON has no place for text
// that is not UTF-8, so encoding such an element, key or node as JSON fails; msgpack takes it.
//
// # How a Store uses them
//
// Each run of a pod contributes its own part of a key. Set joins its value into that part and sends the part;
// readers get the parts of all runs, merged. Two ways to change a key follow:
//
//   - Set the whole: read the value, change it, write the result, with Update, so that of two goroutines of a
//     pod that do so at once the second starts from what the first made. Each pod's part then grows to the whole.
//   - Set the change: change the zero value, and Set that. Nothing has to be read, goroutines need no lock, and
//     a part holds what its own pod did. Each type says whether and how it allows that.
//
// A Delete of the key drops the parts whose last write is ordered before it, and none after it. A pod that has
// seen the Delete goes on from the zero value. A pod that had not seen it, and whose write is ordered after it, brings
// back what that write contains: for "set the whole" everything the pod knew, for "set the change" what its
// own run did. Each type says what that means for it. Delete a key when nobody writes it any more (a counter of a
// past minute, a room that was closed), or accept that a write beside the Delete wins.
//
// # Names of runs
//
// Counters and tags are kept by node. A node is a run of a program, not a machine: a pod that
// restarts under its old name, and adds before it has caught up with its former self, would count from zero
// below the old total, and be ignored. [NewReplica] makes a name for the run; a store without
// WithNodeID has one in its NodeID. A state keeps one entry for each run that ever changed it.
//
// [podshare.Store]: https://pkg.go.dev/github.com/podshare/podshare#Store
package crdt
