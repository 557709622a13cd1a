package podshare

import (
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func expiryScenarios() []scenario {
	return []scenario{
		{name: "an expired entry is not shown again by a clock set back", script: clockSetBack, breaks: ruleLatchExpired},
		{name: "an expired entry keeps older values out", script: expiredKeepsOut},
		{name: "an owned key that lapsed at one pod is written again", script: lapsedAtOne, breaks: ruleLapseNotice},
		{name: "the owner writes again what a peer lists as lapsed", script: lapsedAtOne, breaks: ruleRewriteLapsed},
		{name: "a dead owner's key from a snapshot is not shown", script: deadOwnersKey, breaks: ruleServeHeardOwners},
		{name: "an owner returns long after its keys lapsed", script: ownerReturns, breaks: ruleKeepLapsed},
		{name: "owned keys go with a goodbye at once", script: goodbye, breaks: ruleGoodbyeLapses},
		{name: "owned keys that went are forgotten", script: goodbye, breaks: ruleLatchLapsed},
		{name: "an ask that is lost is repeated", script: lostAsk, breaks: ruleAskAgain},
		{name: "newcomers do not take each other for caught up", script: newcomers, breaks: ruleCaughtUpPeer},
	}
}

// Past its deadline an entry is latched: dead only moves forward.
func clockSetBack(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Cut("a")
	w.Pod("a").Set("other", "v")
	_ = w.Pod("a").Write(sim.Op{Key: "k", Value: "v1", TTL: 5 * time.Second})
	w.Advance(20 * time.Second)
	w.WantAbsent("k", "a")
	w.Pod("a").Jump(-30 * time.Second)
	w.Advance(time.Second)
	w.WantAbsent("k", "a")
	w.Heal("a")
	w.Settle()
	w.WantAbsent("k", "a")
}

// An expiry is a tombstone like a delete: the value that the expired one replaced does not come back with a pod that
// still has it.
func expiredKeepsOut(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "lasting")
	w.Settle()
	w.Cut("c")
	_ = w.Pod("a").Write(sim.Op{Key: "k", Value: "passing", TTL: 5 * time.Second})
	w.Advance(10 * time.Second)
	w.Heal("c")
	w.Settle()
	w.WantAbsent("k")
}

// The vectors are equal, so only the hash of its own live owned dots in o's heartbeat can tell.
//
//	o: ── set k (owned) ─┬── heartbeats ──┬────────────────── told, writes k again
//	a: ──────────────────┤  (hears none)  ╰── k lapsed ── hears o: other hash
//	b: ──────────────────┴── k all the time
func lapsedAtOne(w *sim.World) {
	w.Pods("a", "b", "o")
	_ = w.Pod("o").Write(sim.Op{Key: "k", Value: "here", Owned: true})
	w.Settle()
	w.CutOneWay("o", "a")
	w.Advance(w.Lease + 5*time.Second)
	w.WantAbsent("k", "a")
	w.Want("k", "here", "b", "o")
	w.Heal("o")
	w.Settle()
	w.Advance(w.Lease)
	w.Want("k", "here")
}

// Held, not served, until its origin itself is heard.
//
//	o: ── set k (owned) ── snapshot ──┤dead
//	j:                                └── starts from the snapshot: k is not shown
func deadOwnersKey(w *sim.World) {
	w.Pods("a", "o")
	_ = w.Pod("o").Write(sim.Op{Key: "k", Value: "here", Owned: true})
	w.Settle()
	w.Pod("a").Persist()
	w.Advance(time.Second)
	w.Pod("o").Stop()
	w.Pod("a").Stop()
	w.Advance(time.Second)
	w.Pod("j")
	for range 20 {
		w.Advance(time.Second)
		w.WantAbsent("k", "j")
	}
}

// A lapsed tombstone is kept: collected, it could not be told from that of a delete, and the owner would take the
// absence for one.
func ownerReturns(w *sim.World) {
	w.Pods("a", "b", "o")
	_ = w.Pod("o").Write(sim.Op{Key: "k", Value: "here", Owned: true})
	_ = w.Pod("o").Write(sim.Op{Key: "deleted", Value: "there", Owned: true})
	w.Settle()
	w.Cut("o")
	w.Advance(w.Lease + 5*time.Second)
	w.WantAbsent("k", "a", "b")
	w.Forget()
	w.Forget()
	w.Heal("o")
	w.Settle()
	w.Advance(2 * w.Lease)
	w.Want("k", "here")
	w.Pod("a").Delete("deleted")
	w.Advance(2 * w.Lease)
	w.WantAbsent("deleted")
}

func goodbye(w *sim.World) {
	w.Pods("a", "b", "o")
	_ = w.Pod("o").Write(sim.Op{Key: "k", Value: "here", Owned: true})
	w.Settle()
	w.Want("k", "here")
	w.Pod("o").Close()
	w.Advance(100 * time.Millisecond)
	w.WantAbsent("k")
	w.Forget()
	w.WantForgotten("k")
}

func lostAsk(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Filter = func(_, _ *sim.Pod, f sim.Frame) bool { return f.Kind != "ask" }
	w.Pod("a").Await(1)
	w.Advance(100 * time.Millisecond)
	w.Filter = nil
	w.Settle()
	w.Pod("a").WantAwaited()
}

// Both are empty, so equal; what a holds they cannot know yet.
func newcomers(w *sim.World) {
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Filter = func(from, _ *sim.Pod, _ sim.Frame) bool { return from.Name != "a" }
	w.Pod("b")
	w.Pod("c")
	w.Advance(500 * time.Millisecond)
	w.WantCaughtUp(false, "b", "c")
	w.Filter = nil
	w.Settle()
	w.WantCaughtUp(true, "b", "c")
}
