// Package transport holds the ways by which the stores of different pods reach each other.
//
// A transport moves opaque frames by topic and keeps one snapshot per topic. It may lose, duplicate and
// reorder frames, and may hand a pod its own frames back; the stores repair what that breaks. It must not
// change a frame, and a subscriber that does not read must hold up nobody else.
//
// [MemoryTransport] connects the stores of one process: tests, examples, programs of a single pod.
//
// [RedisTransport] connects pods through Redis.
//
// [P2PTransport] connects pods with each other by TCP, without a server. A [Discoverer] tells it who is there:
// [DNSDiscoverer], [KubernetesDiscoverer], [FileDiscoverer] or [StaticDiscoverer], through [SyncPeers].
//
// [WithSnapshotFile] wraps any of them: its snapshots are also kept in files, and survive a restart of the whole
// fleet.
//
// To test a transport of your own, run the contract suite in package transporttest against it.
package transport
