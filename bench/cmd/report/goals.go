package main

// goal is one promise about speed or size, and how it is computed from the figures of one run.
type goal struct {
	says    string
	limit   float64
	atLeast bool // else at most
	unit    string
	value   func(get getter) float64
}

type getter = func(name, unit string) float64

func (g *goal) met(v float64) bool {
	if g.atLeast {
		return v >= g.limit
	}
	return v <= g.limit
}

// atMost and atLeast are goals on the quotient of one unit of two benchmarks.
func atMost(says string, limit float64, unit, name, of string) goal {
	return goal{says, limit, false, "×", func(get getter) float64 { return get(name, unit) / get(of, unit) }}
}

func atLeast(says string, limit float64, unit, name, of string) goal {
	g := atMost(says, limit, unit, name, of)
	g.atLeast = true
	return g
}

// above is a goal on a difference.
func above(says string, limit float64, unit, name, base string) goal {
	return goal{says, limit, false, unit, func(get getter) float64 { return get(name, unit) - get(base, unit) }}
}

func goals() []goal {
	const (
		get       = "Get/keys="
		json      = "Set/codec=json/ctx=background/impl="
		raw       = "Set/codec=copy/ctx=background/impl="
		request   = "Set/codec=copy/ctx=request/impl="
		snapshot  = "Snapshot/changed="
		memory    = "Memory/entries=1000000/impl="
		replicate = "Replicate/writers="
		redis     = "Redis"
		propagate = "P2PPropagate/pods=2/impl="
		mesh      = "P2PReplicate/pods=2/writers="
		join      = "P2PJoin/entries=1000000/impl="
	)
	gs := []goal{}
	for _, keys := range []string{"10000", "1000000"} {
		for _, writes := range []string{"0", "10000"} {
			at := get + keys + "/writes=" + writes + "/goroutines=1/impl="
			gs = append(gs,
				atMost("Get, "+keys+" keys, "+writes+" writes/s beside, against the builtin map", 1.5, "ns/op", at+"podshare", at+"map"),
				atMost("the same, keys that came by SetMany", 1.5, "ns/op", at+"podshare-batch", at+"map"))
		}
		at := get + keys + "/writes=0/goroutines="
		gs = append(gs, atLeast("Get, "+keys+" keys, throughput of two goroutines against one", 1.8, "ns/op", at+"1/impl=podshare", at+"2/impl=podshare"))
	}
	for _, key := range []string{"plain", "deadline"} {
		gs = append(gs, atMost("Ref against Get, key: "+key, 0.25, "ns/op", "Ref/key="+key+"/impl=ref", "Ref/key="+key+"/impl=get"))
	}
	return append(gs,
		above("Get of a key with a deadline on top of one without", 45, "ns/op", "GetPassing/key=deadline", "GetPassing/key=stays"),
		above("Set on top of Marshal, JSON", 300, "ns/op", json+"podshare", json+"marshal"),
		above("Set on top of Marshal, copying codec", 300, "ns/op", raw+"podshare", raw+"marshal"),
		above("the same, ctx of a request", 300, "ns/op", request+"podshare", request+"marshal"),
		above("Set on top of Marshal, JSON", 2, "allocs/op", json+"podshare", json+"marshal"),
		above("Set on top of Marshal, copying codec", 2, "allocs/op", raw+"podshare", raw+"marshal"),
		atLeast("Set against naive, JSON", 3, "ns/op", json+"naive", json+"podshare"),
		atLeast("Set against naive, copying codec", 8, "ns/op", raw+"naive", raw+"podshare"),
		goal{"Sets a second to one peer, 1 writer", 1e6, true, "sets/s", func(get getter) float64 { return get(replicate+"1/impl=podshare", "sets/s") }},
		goal{"Sets a second to one peer, 64 writers", 1e6, true, "sets/s", func(get getter) float64 { return get(replicate+"64/impl=podshare", "sets/s") }},
		atLeast("Throughput to one peer against naive, 1 writer", 10, "sets/s", replicate+"1/impl=podshare", replicate+"1/impl=naive"),
		atLeast("Throughput to one peer against naive, 64 writers", 10, "sets/s", replicate+"64/impl=podshare", replicate+"64/impl=naive"),
		atLeast("Throughput through Redis against PUBLISH, 64 writers", 7, "sets/s", redis+"Replicate/writers=64/impl=podshare", redis+"Replicate/writers=64/impl=publish"),
		atMost("Set to event through Redis against PUBLISH, p50", 1.15, "p50-us", redis+"Propagate/writers=1/impl=podshare", redis+"Propagate/writers=1/impl=publish"),
		atMost("Publish to Subscribe over P2P against raw TCP, p50", 1.3, "p50-us", propagate+"p2p", propagate+"tcp"),
		atMost("the same, after a pause of 100 µs", 1.3, "idle-p50-us", propagate+"p2p", propagate+"tcp"),
		atMost("Set to event over P2P against raw TCP, p50", 1.3, "p50-us", propagate+"store", propagate+"tcp"),
		atMost("the same, after a pause of 100 µs", 1.3, "idle-p50-us", propagate+"store", propagate+"tcp"),
		atMost("Set to event over P2P against NATS, p50", 1, "p50-us", propagate+"store", propagate+"nats"),
		goal{"Sets a second to one peer over P2P, 1 writer", 1e6, true, "sets/s", func(get getter) float64 { return get(mesh+"1/impl=podshare", "sets/s") }},
		goal{"Sets a second to one peer over P2P, 64 writers", 1e6, true, "sets/s", func(get getter) float64 { return get(mesh+"64/impl=podshare", "sets/s") }},
		atLeast("Throughput to one peer over P2P against naive, 1 writer", 10, "sets/s", mesh+"1/impl=podshare", mesh+"1/impl=naive"),
		atLeast("Throughput to one peer over P2P against naive, 64 writers", 10, "sets/s", mesh+"64/impl=podshare", mesh+"64/impl=naive"),
		atMost("Join of 1,000,000 entries over P2P against streaming them into a map", 3, "ms", join+"podshare", join+"stream"),
		goal{"Longest Get meanwhile, on either pod", 1, false, "ms", func(get getter) float64 {
			return max(get(join+"podshare", "joining-get-ms"), get(join+"podshare", "answering-get-ms"))
		}},
		goal{"Most heap meanwhile against that of the joined store, garbage included", 1.5, false, "×", func(get getter) float64 { return get(join+"podshare", "peak-x") }},
		goal{"Memory of an entry", 180, false, "B", func(get getter) float64 { return get(memory+"podshare", "B/entry") }},
		atMost("Processor time of a forced collection against naive", 1, "cpu-ms/op", memory+"podshare", memory+"naive"),
		goal{"Snapshot, 10 of 100,000 changed, bytes moved against a full one", 0.001, false, "×", func(get getter) float64 {
			moved := get(snapshot+"10/impl=podshare", "stored-B/op") + get(snapshot+"10/impl=podshare", "fetched-B/op")
			return moved / get(snapshot+"10/impl=podshare", "full-B")
		}},
		redisSnapshot("1"), redisSnapshot("10"),
		repair("1"), repair("100"), repair("10000"),
		above("1,000 watchers of other keys add to a write", 30, "ns/op", "WatchOthers/watchers=1000/impl=podshare", "WatchOthers/watchers=0/impl=podshare"),
		atMost("Fan-out to 1,000 watchers against raw channel sends", 1.3, "ns/op", "WatchFanOut/watchers=1000/impl=podshare", "WatchFanOut/watchers=1000/impl=channels"),
	)
}

// redisSnapshot compares what all pods move with what the snapshot holds.
func redisSnapshot(pods string) goal {
	name := "RedisSnapshot/pods=" + pods + "/impl=podshare"
	return goal{"Snapshot in Redis, 10 of 100,000 changed, pods: " + pods + ", bytes moved against keys and values", 0.001, false, "×", func(get getter) float64 {
		return get(name, "moved-B") / get(name, "held-B")
	}}
}

// repair compares what moved with 1.3 times the payload and 16 bytes for each of the two origins.
func repair(differ string) goal {
	name := "Repair/differ=" + differ + "/impl=podshare"
	return goal{"Repair, " + differ + " of 100,000 differ, bytes moved against 1.3 × payload + 16 B an origin", 1, false, "×", func(get getter) float64 {
		return (get(name, "answer-B/op") + get(name, "request-B/op")) / (1.3*get(name, "payload-B/op") + 32)
	}}
}
