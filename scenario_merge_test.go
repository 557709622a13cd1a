package podshare

import (
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func mergeScenarios() []scenario {
	return []scenario{
		{name: "a set newer than a delete that its author had not seen", script: setBesideDelete, merge: true},
		{name: "a set older than a delete arrives after it", script: setBeforeDelete, merge: true, breaks: ruleDeleteDropsOlder},
		{name: "expired content is not joined again", script: joinExpired, merge: true},
		{name: "a permanent value does not expire with a later one", script: laterDeadlineWins, merge: true},
		{name: "collecting a dead part tells watchers nothing", script: quietCollection, merge: true},
		{name: "an owned part that was deleted and forgotten is not written again", script: deletedOwnedPart, merge: true},
		{name: "parts of pods that left are taken over", script: takenOver, merge: true},
	}
}

// A delete drops the contributions ordered before it and none after.
//
//	a: ── set k x ─┬─ (cut off) delete k ─────────╮
//	b: ────────────┴─ (cut off) ─────── set k y ──┴── y
func setBesideDelete(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "x")
	w.Settle()
	w.Cut("b")
	w.Pod("a").Delete("k")
	w.Advance(time.Second)
	w.Pod("b").Set("k", "y")
	w.Heal("b")
	w.Settle()
	w.Want("k", "y")
	w.Forget()
	w.Want("k", "y")
}

// A delete drops contributions that come later than it but are ordered before it, too.
//
//	a: ── set k x ─┬─────────── delete k ──┬── y is not shown, not for a moment
//	b: ────────────┴─ set k y ╌╌╌(slow)╌╌╌╌╯
func setBeforeDelete(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "x")
	w.Settle()
	var slow []func()
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		if from.Name == "b" {
			slow = append(slow, func() { w.Pass(from, to, f) })
		}
		return from.Name != "b"
	}
	w.Pod("b").Set("k", "y")
	w.Advance(time.Second)
	w.Pod("a").Delete("k")
	w.Filter = nil
	w.Advance(100 * time.Millisecond)
	for _, pass := range slow {
		pass()
	}
	w.Advance(10 * time.Millisecond)
	w.WantAbsent("k")
	w.Settle()
	w.WantAbsent("k")
}

func joinExpired(w *sim.World) {
	w.Pods("a", "b")
	_ = w.Pod("a").Write(sim.Op{Key: "k", Value: "old", TTL: 5 * time.Second})
	w.Advance(10 * time.Second)
	w.WantAbsent("k")
	w.Pod("a").Set("k", "new")
	w.Settle()
	w.Want("k", "new")
}

func laterDeadlineWins(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("a").Set("k", "lasting")
	_ = w.Pod("a").Write(sim.Op{Key: "k", Value: "passing", TTL: 5 * time.Second})
	w.Advance(20 * time.Second)
	w.Want("k", "lasting,passing")
}

// A tombstone beside a live part is collected without a word: nothing that a reader sees has changed.
func quietCollection(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("a").Set("k", "x")
	w.Settle()
	w.Pod("a").Delete("k")
	w.Settle()
	w.Pod("b").Set("k", "y")
	w.Settle()
	events := w.Stats.Events
	w.Forget()
	if w.Stats.Events != events {
		w.Fail("G6", "watchers hear of the collection of a tombstone")
	}
	w.Want("k", "y")
}

// c learns from b, by absence, that k is dead. To o, which still has it, that must not look like a lapse.
//
//	b, d: ─┬───────────────┬─ delete k, forget it ─────┬────────┬── absent
//	c:     ├───────────────┼─ (with o) ────────────────╯        │
//	o:     ╰─ set k owned ─┴─ (with c) ─────────────────────────┴──
func deletedOwnedPart(w *sim.World) {
	w.Pods("b", "c", "d", "o")
	_ = w.Pod("o").Write(sim.Op{Key: "k", Value: "here", Owned: true})
	w.Settle()
	w.Cut("o", "b", "d")
	w.Cut("c", "b", "d")
	w.Pod("b").Delete("k")
	w.Forget()
	w.WantForgotten("k", "b", "d")
	w.Want("k", "here", "c", "o")
	w.Heal("c", "b", "d")
	w.Settle()
	w.Heal("o", "b", "d")
	w.Settle()
	w.Advance(2 * w.Lease)
	w.WantAbsent("k")
}

// A Set takes over the contributions of origins silent past the TTL, so that a key does not gather one per deploy.
func takenOver(w *sim.World) {
	w.Pods("a", "b")
	for i := range 5 {
		w.Pod("b").Set("k", fmt.Sprint("deploy", i))
		w.Advance(time.Second)
		w.Pod("b").Restart()
		w.Settle()
	}
	w.Forget()
	w.Pod("a").Set("k", "now")
	w.Settle()
	w.Want("k", "deploy0,deploy1,deploy2,deploy3,deploy4,now")
	w.Pod("b").Delete("k")
	w.Settle()
	w.WantAbsent("k")
}
