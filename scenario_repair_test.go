package podshare

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func repairScenarios() []scenario {
	return []scenario{
		{name: "a write that one pod got before its writer died reaches all", script: deadWriter, breaks: ruleCompareHashes},
		{name: "a want leaves out what its sender takes for dead", script: deadWriter, breaks: ruleRestHash},
		{name: "the peer goes on writing while it answers", script: writesDuringAnswer, breaks: ruleCaptureVector},
		{name: "a repair that breaks off leaves nothing behind", script: brokenRepair, breaks: ruleRepairAtOnce},
		{name: "answers to two wants do not mix", script: mixedAnswers, breaks: ruleSeries},
		{name: "one pod collected before an older write arrived", script: collectedEarly, breaks: ruleCompareDigest},
		{name: "dead origins are not forgotten", script: manyDeploys},
		{name: "watchers hear of quick writes in order", script: quickWrites},
	}
}

// Heartbeats carry a hash of the whole vector: own heads alone would never tell c of a write of a dead pod. A want
// lists the live origins only; the hash of the others tells b that c counts a differently.
//
//	a: ──set k──┤dead
//	b: ─────────┴───────────────── heartbeat ─╮
//	c: ── (does not hear a) ──────────────────┴─ want ── k
func deadWriter(w *sim.World) {
	w.Pods("a", "b", "c")
	w.CutOneWay("a", "c")
	w.Cut("b", "c")
	w.Pod("a").Set("k", "v")
	w.Advance(50 * time.Millisecond)
	w.Pod("a").Stop()
	w.Advance(10 * time.Second) // until everybody takes a for dead
	w.Heal("b", "c")
	w.Settle()
	w.Want("k", "v")
}

// bulk writes n values of 60 KB that do not compress, in batches of two.
func bulk(p *sim.Pod, n int) {
	rng := rand.New(rand.NewPCG(7, 7))
	value := func(i int) string {
		var b strings.Builder
		for b.Len() < 60<<10 {
			fmt.Fprintf(&b, "%x", rng.Uint64())
		}
		return fmt.Sprintf("%d-%s-%s", i, p.Name, b.String())
	}
	for i := 0; i < n; i += 2 {
		_ = p.Write(sim.Op{Key: fmt.Sprintf("bulk%d", i), Value: value(i)}, sim.Op{Key: fmt.Sprintf("bulk%d", i+1), Value: value(i + 1)})
	}
}

// Vector, marks and floor are those of before the first entry was read: taken afterwards, the vector would claim
// the write of the meantime, and its absence at b would delete it everywhere.
//
//	a: ── want ─┬─ chunk ─ chunk ─ set late ─ chunk ─ vector
//	b: ─────────╯  (late itself does not arrive)
func writesDuringAnswer(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("b").Set("own", "b")
	w.Settle()
	w.Cut("a", "b")
	bulk(w.Pod("a"), 40)
	chunks := 0
	w.Filter = func(from, _ *sim.Pod, f sim.Frame) bool {
		if f.Kind == "have" {
			if chunks++; chunks == 4 {
				w.After(0, func() { w.Pod("a").Set("late", "v") })
			}
		}
		return from.Name != "a" || f.Kind != "data"
	}
	w.Heal("a", "b")
	w.Advance(20 * time.Second)
	w.Want("late", "v")
}

// Chunks are kept until all are there, and applied in one step. Here the answer to b breaks off for good; what b
// then holds must be what it held before.
//
//	a: ── want ─┬─ chunk ─ chunk ─┤dead
//	b: ─────────╯                 └─ nothing of it
func brokenRepair(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("b").Set("own", "b")
	w.Settle()
	w.Cut("a", "b")
	bulk(w.Pod("a"), 40)
	for i := range 40 {
		w.Pod("a").Set(fmt.Sprintf("bulk%d", i), fmt.Sprintf("new%d", i)) // outside of the batches
	}
	bulk(w.Pod("a"), 40)
	for i := 0; i < 40; i += 2 {
		w.Pod("a").Set(fmt.Sprintf("bulk%d", i), fmt.Sprintf("newer%d", i))
	}
	chunks := 0
	w.Filter = func(from, _ *sim.Pod, f sim.Frame) bool {
		if f.Kind == "have" {
			if chunks++; chunks > 3 {
				w.After(0, from.Stop)
				return false
			}
		}
		return from.Name != "a" || f.Kind != "data"
	}
	w.Heal("a", "b")
	w.Settle()
	for i := range 40 {
		w.WantForgotten(fmt.Sprintf("bulk%d", i), "b")
	}
	w.Want("own", "b", "b")
}

// Each answer is a series with its own number. b asks, gives up and asks again; chunks of the first answer arrive
// among those of the second, which was captured later.
//
//	a: ── answer 1: x ──────╮(held up)   set y, delete x   ── answer 2 ──╮
//	b: ── want 1 ───────────│───────────────── want 2 ──────────┴────────┴── must not close 2 with the end of 1
func mixedAnswers(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("b").Set("own", "b")
	w.Settle()
	w.Cut("a", "b")
	bulk(w.Pod("a"), 6)
	type held struct {
		from, to *sim.Pod
		f        sim.Frame
	}
	var last []held
	hold := true
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		switch {
		case f.Kind == "data":
			return false
		case f.Kind == "have" && from.Name == "a" && hold:
			last = append(last, held{from, to, f})
			return false
		case f.Kind == "have" && from.Name == "a" && len(last) > 0:
			// The chunks of the first answer come first, but for its beginning.
			for _, h := range last {
				w.Pass(h.from, h.to, h.f)
			}
			last = nil
		}
		return true
	}
	w.Heal("a", "b")
	w.Advance(2500 * time.Millisecond)
	w.Pod("a").Set("y", "v")
	w.Pod("a").Delete("bulk1")
	hold = false
	w.Settle()
	w.Filter = nil
	w.Settle()
	w.Want("y", "v")
	w.WantAbsent("bulk1")
}

// b's clock is slow, so a collects first; then c comes with a write that a cannot tell from news and b can. The
// vectors are equal, the contents are not: everything is compared, and dead wins.
//
//	a: ─────────────── set k ─ delete k ─ collected ─┬─ shows k … until compared with b
//	b: ─────────────── set k ─ delete k ─────────────┼─ tombstone
//	c: ── set k (cut off) ───────────────────────────╯
func collectedEarly(w *sim.World) {
	w.Start(sim.PodConfig{Name: "b", Clock: -40 * time.Second})
	w.Pods("a", "c")
	w.Pod("a").Set("k", "first")
	w.Settle()
	w.Cut("c")
	w.Pod("c").Set("k", "old")
	w.Advance(time.Second)
	w.Pod("a").Set("k", "new")
	w.Advance(time.Second)
	w.Pod("a").Delete("k")
	w.Advance(w.TombstoneTTL + 15*time.Second)
	w.WantForgotten("k", "a")
	w.Heal("c")
	w.Settle()
	w.Settle()
	w.WantAbsent("k")
}

// A pod that comes back with the vector of before many deploys is told of all that died since, and brings nothing
// back.
func manyDeploys(w *sim.World) {
	w.Pods("a", "b", "x")
	w.Pod("a").Set("k", "old")
	w.Settle()
	w.Cut("x")
	w.Pod("x").Set("mine", "x")
	w.Pod("a").Delete("k")
	for i := range 30 {
		p := w.Pod([]string{"a", "b"}[i%2])
		p.Restart()
		w.Advance(4 * time.Second)
		p.Set(fmt.Sprintf("deploy%d", i), "v"+fmt.Sprint(i))
		w.Advance(500 * time.Millisecond)
	}
	w.Forget()
	w.Heal("x")
	w.Settle()
	w.WantAbsent("k")
	w.Want("mine", "x")
	w.Want("deploy0", "v0")
	w.Want("deploy29", "v29")
}

// Changes are told in the order in which they were applied: two pods write one key as fast as they can, and every
// watcher sees versions that rise.
func quickWrites(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Late, w.LateDelay = 0.2, 300*time.Millisecond
	for i := range 200 {
		w.Pod([]string{"a", "b"}[i%2]).Set("k", fmt.Sprint("v", i))
		w.Advance(time.Millisecond)
	}
	w.HealAll()
	w.Settle()
	w.Want("k", "v199")
}
