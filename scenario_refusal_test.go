package podshare

import (
	"strings"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func refusalScenarios() []scenario {
	return []scenario{
		{name: "a refused value is not covered by a repair", script: refusedByRepair, breaks: ruleHoles},
		{name: "a batch of which one value is refused is refused whole", script: refusedBatch, breaks: ruleRefuseBatch},
		{name: "a batch brought by repair is refused whole", script: refusedBatchByRepair, breaks: ruleRefuseBatch},
		{name: "a refused value does not make repair run for ever", script: refusedQuietly, breaks: ruleBackOff},
		{name: "a refused value that was replaced leaves no hole", script: refusedThenReplaced},
		{name: "a refused value keeps out what it replaced", script: refusedKeepsOut},
	}
}

func large() string { return "large" + strings.Repeat("!", 100) }

// picky starts a, b, and c, which takes no large value.
func picky(w *sim.World) {
	w.Start(sim.PodConfig{Name: "c", MaxValue: 40})
	w.Pods("a", "b")
}

// A dot covered wrongly kills its entry everywhere.
//
//	a: ── set k (large) ─┬─────── compares with c: k must live
//	c: ── refuses k ─────╯ ── adopts a vector, k's dot left out
func refusedByRepair(w *sim.World) {
	picky(w)
	w.Pod("c").Set("own", "c")
	w.Settle()
	w.Cut("c")
	w.Pod("a").Set("k", large())
	w.Pod("b").Set("small", "v")
	w.Settle()
	w.Heal("c")
	w.Advance(time.Minute)
	w.Want("small", "v")
	w.Want("k", large(), "a", "b")
	w.WantAbsent("k", "c")
	w.Forget()
	w.Want("k", large(), "a", "b")
}

// The batch is refused whole, its neighbour in the same frame is not.
func refusedBatch(w *sim.World) {
	picky(w)
	a := w.Pod("a")
	_ = a.Queue(sim.Op{Key: "before", Value: "v"})
	_ = a.Queue(sim.Op{Key: "k1", Value: "small"}, sim.Op{Key: "k2", Value: large()}, sim.Op{Key: "k3", Value: "small too"})
	_ = a.Write(sim.Op{Key: "after", Value: "w"})
	w.Advance(200 * time.Millisecond)
	w.Want("before", "v")
	w.Want("after", "w")
	w.WantAbsent("k1", "c")
	w.WantAbsent("k3", "c")
	w.Settle()
	w.WantAbsent("k1", "c")
	w.WantAbsent("k3", "c")
}

func refusedBatchByRepair(w *sim.World) {
	picky(w)
	w.Pod("c").Set("own", "c")
	w.Settle()
	w.Cut("c")
	_ = w.Pod("a").Write(sim.Op{Key: "k1", Value: "small"}, sim.Op{Key: "k2", Value: large()})
	w.Pod("a").Set("other", "v")
	w.Heal("c")
	w.Settle()
	w.Want("other", "v")
	w.WantAbsent("k1", "c")
}

// An exchange that changed nothing is not repeated until a hash changes or the back-off ends.
func refusedQuietly(w *sim.World) {
	picky(w)
	w.Pod("a").Set("k", large())
	w.Advance(time.Minute)
	wants := 0
	w.Filter = func(_, _ *sim.Pod, f sim.Frame) bool {
		if f.Kind == "want" {
			wants++
		}
		return true
	}
	w.Advance(5 * time.Minute)
	if wants > 100 {
		w.Fail("script", "%d wants in five minutes over one value that is refused", wants)
	}
}

// When nobody holds the refused value any more, its dot is dead like any other.
func refusedThenReplaced(w *sim.World) {
	picky(w)
	_ = w.Pod("a").Write(sim.Op{Key: "k1", Value: "small"}, sim.Op{Key: "k2", Value: large()})
	w.Settle()
	w.WantAbsent("k1", "c")
	w.Pod("b").Set("k2", "small now")
	w.Advance(6 * time.Minute) // until c asks for what it refused again
	w.Want("k1", "small")
	w.Want("k2", "small now")
	if v, ok := w.Pod("b").Version("k2"); !ok || v.Dead {
		w.Fail("script", "k2 is gone")
	}
}

// c holds nothing newer than the first value, for it refuses what took its place; yet a snapshot of long ago must not
// bring that back.
//
//	snapshot:  k=first ────────────────────────────────────╮
//	a, b:      k=first ─ delete k ─ set k (large) ─╮       │
//	c:                                       joins ┴───────┴── k is absent
func refusedKeepsOut(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("b").Set("k", "first")
	w.Settle()
	w.Pod("a").Persist()
	w.Advance(time.Second)
	w.Pod("a").Delete("k")
	w.Settle()
	w.Pod("a").Set("k", large())
	w.Settle()
	w.Start(sim.PodConfig{Name: "c", MaxValue: 40, NoSnapshot: true})
	w.Settle()
	w.WantAbsent("k", "c")
	w.Pod("c").Persist()
	w.WantAbsent("k", "c")
	w.Advance(time.Minute)
	w.WantAbsent("k", "c")
	w.Want("k", large(), "a", "b")
}
