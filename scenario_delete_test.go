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
