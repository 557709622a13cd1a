// Package transporttest tests transports, and what stands on them.
//
// [Run] is the contract of a transport as a test suite: whoever writes one runs it against theirs.
//
//	func TestContract(t *testing.T) {
//		transporttest.Run(t, func(t *testing.T) transporttest.Transport {
//			return mytransport.Dial(startServer(t))
//		})
//	}
//
// [Network] is a transport that drops, delays, duplicates, reorders, corrupts and partitions on demand, from
// a seed, for tests of code that must survive this.
//
//	net := transporttest.NewNetwork(1, transporttest.WithFaults(transporttest.Faults{Drop: 0.1}))
//	defer net.Close()
//	a, b := net.Pod("a"), net.Pod("b")
//	net.Cut("a")
//	…
//	net.Heal()
//
// Both work inside testing/synctest, where their waits and delays take no time.
package transporttest
