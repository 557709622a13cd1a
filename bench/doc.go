// Package bench compares podshare with floors (the builtin map, raw channel sends, the bare codec), with peers
// (sync.Map, xsync, otter, NATS, memberlist) and with the usual design of a replicated map (package naive). Every benchmark
// prints both sides in one run: absolute figures drift with the machine, ratios hold.
//
// Benchmarks named Redis run a redis-server on loopback, and are skipped where none is installed. Those named P2P run whole
// meshes in this process, beside NATS and memberlist; all of it is on loopback.
//
//	go test -bench . ./...        # all, about three minutes
//	go run ./cmd/report           # five runs, medians, RESULTS.md
package bench
