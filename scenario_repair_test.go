package podshare

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/podshare/podshare/internal/sim"
	"github.com/podshare/podshare/internal/wire"
)

func repairScenarios() []scenario {
	return []scenario{
		{name: "a write that one pod got before its writer died reaches all", script: deadWriter, breaks: ruleCompareHashes},
		{name: "a want leaves out what its sender takes for dead", script: deadWriter, breaks: ruleRestHash},
		{name: "the peer goes on writing while it answers", script: writesDuringAnswer, breaks: ruleCaptureVector},
		{name: "a repair that breaks off leaves nothing behind", script: brokenRepair, breaks: ruleRepairAtOnce},
		{name: "what a joiner took of an answer that broke off is sent on", script: brokenJoin},
		{name: "answers to two wants do not mix", script: mixedAnswers, breaks: ruleSeries},
		{name: "a want that arrives twice has one answer", script: repeatedWant, breaks: ruleOneAnswer},
		{name: "a want of all origins that arrives twice has one answer", script: repeatedWantOfAll, breaks: ruleOneAnswer},
		{name: "a want turns into one of all origins before anything is answered, or not at all", script: lateList, breaks: ruleOneAnswer},
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

// Each answer is a series with its own number. b asks in vain, gives up and asks again; then the first chunk of the
// first answer arrives before that of the second, which was captured later.
//
//	a: ─┬─ answer 1 (held up) ── set bulk0 ─┬─ chunk 0 of 1 ─ chunks 0, 1, … of 2 ──╮
//	b: ─╯ want 1                     want 2 ╯                                       ╰── has the new bulk0
func mixedAnswers(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("b").Set("own", "b")
	w.Settle()
	w.Cut("a", "b")
	w.Delay = 0 // frames arrive in order
	bulk(w.Pod("a"), 6)
	var held func() // passes chunk 0 of the first answer on
	var first uint64
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		if from.Name != "a" || f.Kind != wire.KindHave.String() {
			return f.Kind != wire.KindData.String()
		}
		series, index := chunkOf(f)
		if held == nil {
			first, held = series, func() { w.Pass(from, to, f) }
			w.After(0, func() { w.Pod("a").Set("bulk0", "new") })
		}
		if series != first && index == 0 {
			held()
		}
		return series != first
	}
	w.Heal("a", "b")
	w.Settle()
	w.Settle()
	w.Want("bulk0", "new")
}

// One want has one answer. b has chunks 0–7 when its want arrives at a once more. Answered anew, it would go on with
// chunk 8 of a later moment: it would cover the writes of the meantime, of which those in chunks 0–7 never came.
//
//	a: ─┬─ chunks 0–7 ─┬─ chunks 8–11 (lost) ─ sets a third anew ─┬─ nothing ────────┬─ chunks 8–11
//	b: ─╯ want    more ╯                      the want, again ─╯    more (of 8 on)╯
func repeatedWant(w *sim.World) {
	bulkAlone(w)
	var again func()
	renewed := false
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		switch {
		case f.Kind == wire.KindWant.String() && to.Name == "a":
			again = func() { w.Pass(from, to, f) }
		case f.Kind == wire.KindHave.String() && from.Name == "a" && !renewed:
			_, index := chunkOf(f)
			if index == 8 {
				w.After(0, func() { renew(w.Pod("a")); again(); renewed = true })
			}
			return index < 8
		}
		return f.Kind != wire.KindData.String()
	}
	w.Heal("a", "b")
	w.Settle()
	w.Settle()
	wantRenewed(w)
}

// The same with a want that lists all origins, since a knows of a write of d, and with b's own second try, since
// chunk 0 is lost.
//
//	a: ─┬─ list ─┬─ chunks 0 (lost) 1–7 ─ sets a third anew ─┬─ the same chunk 0
//	b: ─╯ want   ╯ want (all)             want (all) again╯
func repeatedWantOfAll(w *sim.World) {
	w.Pods("a", "b", "d")
	w.Cut("b")
	w.Pod("d").Set("of d", "d")
	w.Advance(50 * time.Millisecond)
	w.Pod("d").Stop()
	w.Advance(10 * time.Second) // until both take d for dead
	bulkAlone(w)
	lists, lost := 0, false
	w.Filter = func(from, _ *sim.Pod, f sim.Frame) bool {
		switch {
		case f.Kind == wire.KindList.String() && from.Name == "a":
			lists++
		case f.Kind == wire.KindHave.String() && from.Name == "a" && !lost:
			lost = true
			w.After(0, func() { renew(w.Pod("a")) })
			return false
		}
		return f.Kind != wire.KindData.String()
	}
	w.Heal("a", "b")
	w.Settle()
	w.Settle()
	if lists == 0 {
		w.Fail("script", "b was not asked to list all origins")
	}
	wantRenewed(w)
}

// The list that a asks for is late: meanwhile a has learned from b what d wrote, and answers b's second try at once.
// Chunks of that answer have come when the list does, so that b does not turn to another want.
//
//	a: ─┬─ list (slow) ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╮
//	a: ─╯      learns d ─┬─ chunks 0–7 ─┬─ chunks 8– (lost) ─ sets a third anew
//	b: ── want     want ─╯         more ╯                           ╰── more (of 8 on)
func lateList(w *sim.World) {
	w.Pods("a", "b", "d")
	w.Cut("a")
	w.Pod("d").Set("of d", "d")
	w.Advance(50 * time.Millisecond)
	w.Pod("d").Stop()
	w.Advance(10 * time.Second)
	bulkAlone(w)
	var list func()
	renewed := false
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		switch {
		case f.Kind == wire.KindList.String() && from.Name == "a" && list == nil:
			list = func() { w.Pass(from, to, f) }
			return false
		case f.Kind == wire.KindWant.String() && from.Name == "a":
			return list != nil // a must not learn of d before b asks
		case f.Kind == wire.KindHave.String() && from.Name == "a" && !renewed:
			_, index := chunkOf(f)
			if index == 8 {
				w.After(0, func() { renew(w.Pod("a")); list(); renewed = true })
			}
			return index < 8
		}
		return f.Kind != wire.KindData.String()
	}
	w.Heal("a", "b")
	w.Settle()
	w.Settle()
	if !renewed {
		w.Fail("script", "b's second try was not answered in more than eight chunks")
	}
	wantRenewed(w)
}

// bulkAlone separates a from b, lets it write what takes many chunks, and has frames arrive in order.
func bulkAlone(w *sim.World) {
	w.Pods("a", "b")
	w.Cut("a", "b")
	w.Pod("b").Set("own", "b")
	bulk(w.Pod("a"), 60)
	w.Delay = 0
}

// renew writes a third of the bulk anew: what remains still takes more than the eight chunks under way.
func renew(p *sim.Pod) {
	for i := range 20 {
		p.Set(fmt.Sprint("bulk", i), fmt.Sprint("new", i))
	}
}

// wantRenewed requires that all have what renew wrote.
func wantRenewed(w *sim.World) {
	for i := range 20 {
		w.Want(fmt.Sprint("bulk", i), fmt.Sprint("new", i))
	}
}

// chunkOf reads which chunk of an answer a frame is.
func chunkOf(f sim.Frame) (series, index uint64) {
	var m wire.Have
	_, body, err := wire.Open(f.Bytes, wire.Limits{})
	if err == nil {
		err = m.Parse(body)
	}
	if err != nil {
		panic(err)
	}
	return m.Series, m.Index
}

// b's clock is slow, so a collects first. Then a write of before the delete arrives that a cannot tell from news, and
// b can. Their vectors are equal, their contents are not: everything is compared, and dead wins.
//
//	c: ── set k ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌(slow)╌╌╌╌╌╌╌╌╌╌╌╌╌╌╮
//	a: ─────────── set k ─ delete k ─── collected ───┼─ shows k … until compared with b
//	b: ─────────── set k ─ delete k ── tombstone ────┴─ drops it
func collectedEarly(w *sim.World) {
	w.Start(sim.PodConfig{Name: "b", Clock: -40 * time.Second})
	w.Pods("a", "c")
	var slow []func()
	w.Filter = func(from, to *sim.Pod, f sim.Frame) bool {
		slow = append(slow, func() { w.Pass(from, to, f) })
		return false
	}
	w.Pod("c").Set("k", "old")
	w.Pod("c").Stop()
	w.Filter = nil
	w.Advance(time.Second)
	w.Pod("a").Set("k", "new")
	w.Settle()
	w.Pod("a").Delete("k")
	w.Advance(w.TombstoneTTL + 15*time.Second)
	w.WantForgotten("k", "a")
	for _, pass := range slow {
		pass()
	}
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

// A store that holds nothing applies the chunks of an answer as they come. The answerer dies in the middle, and nobody
// else has what it sent: c must get it from j.
//
//	a: ── set b0 … b9 ─┬─ chunk 0 ─┤dead
//	j: ── joins, want ─╯───────────┴── holds b…, and has covered none of it ──┬─ ?
//	c: ── (does not hear a, nor j until a is dead) ───────────────────────────╯
func brokenJoin(w *sim.World) {
	w.Pods("a", "c")
	w.Cut("a", "c")
	for i := range 10 {
		w.Pod("a").Set(fmt.Sprint("b", i), fmt.Sprint(i, strings.Repeat("!", 140<<10)))
	}
	w.Filter = func(from, _ *sim.Pod, f sim.Frame) bool {
		if f.Kind != wire.KindHave.String() || from.Name != "a" {
			return true
		}
		_, index := chunkOf(f)
		if index == 1 {
			w.After(0, from.Stop)
		}
		return index == 0
	}
	w.Pod("c")
	w.CutOneWay("c", "j")
	w.CutOneWay("j", "c")
	w.Start(sim.PodConfig{Name: "j", NoSnapshot: true})
	w.Settle()
	w.Filter = nil
	w.Heal("j", "c")
	w.Settle()
}
