package podshare

import (
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func deleteScenarios() []scenario {
	return []scenario{
		{name: "the deleter dies and the writer returns after the TTL", script: deleterDies, breaks: ruleCoverReplaced, without: ruleCollectContiguous},
		{name: "a deleted key is replayed after its tombstone was collected", script: replay, breaks: ruleDropCovered},
		{name: "a pod was away longer than the TTL", script: awayLonger, breaks: ruleAbsence},
		{name: "a pod that missed a collected delete is compared in full", script: awayLonger, breaks: ruleMarks, without: ruleCompareDigest},
		{name: "what a pod wrote while away is not lost", script: wroteWhileAway},
		{name: "a tombstone waits for an older write that only a pod far away holds", script: olderWriteFarAway, breaks: ruleCollectContiguous},
		{name: "a tombstone that comes late is not collected at once", script: lateTombstone, breaks: ruleCollectAfterExchange},
		{name: "a pod that is cut off collects nothing", script: collectsInContact, breaks: ruleCollectInContact},
		{name: "tombstones age from when they were written", script: deploysWithinTTL},
	}
}

// Every update carries the dots that it replaced: b covers a write that it never saw.
//
//	a: ──set k──╮            (cut off, longer than the TTL)            ╭── back
//	p: ─────────┴─delete k──┤dead
//	b: ─────────────────────┴── tombstone ── collected ────────────────┴── k stays dead
func deleterDies(w *sim.World) {
	w.Pods("a", "b", "c", "p")
	w.Cut("b", "a", "p")
	w.Cut("c", "a", "p")
	w.Pod("a").Set("k", "v")
	w.Advance(100 * time.Millisecond)
	w.Cut("a")
	w.Heal("p", "b", "c")
	w.Pod("p").Delete("k")
	w.Advance(6 * time.Millisecond)
	w.Pod("p").Stop()
	w.Settle()
	w.Forget()
	w.Forget()
	w.Heal("a")
	w.Settle()
	w.WantAbsent("k")
}

// A dot that was seen is never applied again, even when nothing else remembers its key.
//
//	a: ── set k ─┬─────── delete k ── collected
//	b: ──────────┴─────── delete k ── collected ── the frame of "set k" once more: nothing
func replay(w *sim.World) {
	w.Pods("a", "b")
	var again func()
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		if f.Kind == "data" && again == nil {
			again = func() { w.Pass(from, to, f) }
		}
		return true
	}
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Pod("a").Delete("k")
	w.Settle()
	again()
	w.Settle()
	w.WantAbsent("k")
	w.Forget()
	w.WantForgotten("k")
	again()
	w.Advance(time.Second)
	w.WantAbsent("k")
}

// A peer whose head is below a mark missed a delete that nobody can send any more: all is compared, and what is live
// there, absent here and covered here is dead.
//
//	a, b: ── set k ── delete k ── collected ───────────╮
//	c:    ── set k ── (cut off, longer than the TTL) ──┴── k dies
func awayLonger(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Cut("c")
	w.Pod("a").Delete("k")
	w.Forget()
	w.WantForgotten("k", "a", "b")
	w.Want("k", "v", "c")
	w.Heal("c")
	w.Settle()
	w.WantAbsent("k")
}

// What nobody there has seen is news, however old, and is kept and sent.
func wroteWhileAway(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Cut("c")
	w.Pod("a").Delete("k")
	w.Advance(time.Second)
	w.Pod("c").Set("mine", "c")
	w.Pod("c").Set("k", "written after the delete, without knowing of it")
	w.Forget()
	w.Heal("c")
	w.Settle()
	w.Want("mine", "c")
	w.Want("k", "written after the delete, without knowing of it")
}

// The age of a tombstone counts from its stamp. Counted from its arrival, a fleet that deploys within the TTL would
// never collect.
func deploysWithinTTL(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("a").Set("k", "v")
	w.Pod("a").Delete("k")
	for i := range 8 {
		w.Advance(10 * time.Second)
		w.Pod(fmt.Sprint("pod", i))
		w.Advance(2 * time.Second)
		w.Live()[0].Close()
	}
	w.WantForgotten("k")
}

// A hole below a dot that the delete replaced may be an older write of the key: an update names what it replaced, and
// not all that went before.
//
//	a: ── set k 1 ─╮ ─ 2 ─ set k 3 ─╮ ┤dead
//	b: ────────────│────────────────┴── delete k ── keeps the tombstone ──╮
//	x: ────────────┴── k=1 (cut off, longer than the TTL) ────────────────┴── k dies
func olderWriteFarAway(w *sim.World) {
	w.Pods("a", "b", "c", "x")
	w.Cut("a", "b", "c")
	w.Pod("a").Set("k", "1")
	w.Advance(6 * time.Millisecond)
	w.Cut("x")
	w.Pod("a").Set("k", "2")
	w.Heal("a", "b")
	w.Pod("a").Set("k", "3")
	w.Advance(6 * time.Millisecond)
	w.Pod("a").Stop()
	w.Want("k", "3", "b")
	w.Pod("b").Delete("k")
	w.Settle()
	w.Forget()
	w.Forget()
	w.Heal("x")
	w.Settle()
	w.WantAbsent("k")
}

// Another pod may just be sending what the tombstone is needed against, so an exchange must end first.
//
//	a: ── set k ─ delete k ╌╌╌╌(slow, longer than the TTL)╌╌╌╌╮
//	b: ───── k ───────────────────────────────────────────────┴── holds the tombstone, until it agrees with c
//	c: ── heartbeats, and nothing else gets through
func lateTombstone(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "v")
	w.Settle()
	var slow []func()
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		if f.Kind == "data" && to.Name == "b" {
			slow = append(slow, func() { w.Pass(from, to, f) })
		}
		return false
	}
	w.Pod("a").Delete("k")
	w.Pod("a").Stop()
	w.Filter = func(_, _ *sim.Pod, f sim.Frame) bool { return f.Kind == "heartbeat" }
	w.Forget()
	for _, pass := range slow {
		pass()
	}
	w.Advance(20 * time.Second)
	if v, held := w.Pod("b").Version("k"); !held || !v.Dead {
		w.Fail("script", "b has no tombstone of k any more, and has agreed with nobody since it came")
	}
}

// A pod that hears nobody cannot know what is still on its way, nor whether its clock is right.
func collectsInContact(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "v")
	w.Settle()
	w.Pod("a").Delete("k")
	w.Settle()
	w.Cut("c")
	w.Advance(10 * time.Second)
	w.Pod("c").Jump(time.Hour)
	w.Advance(20 * time.Second)
	if _, held := w.Pod("c").Version("k"); !held {
		w.Fail("script", "c has collected the tombstone of k, alone and with a wrong clock")
	}
}
