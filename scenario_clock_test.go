package podshare

import (
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func clockScenarios() []scenario {
	return []scenario{
		{name: "a write over a poisoned one is ordered after it", script: poisonedKey, breaks: ruleStampAfterReplaced},
		{name: "a poisoned stamp spreads to no other key", script: poisonSpreads, breaks: ruleObserveWithinSkew},
		{name: "a write over a forgotten delete is ordered after it", script: floorRemembers, ttl: 30 * time.Second, breaks: ruleStampAfterFloor},
		{name: "a forgotten delete is remembered by a clock that is late by nearly the TTL", script: floorOfLateClock, ttl: 2 * time.Minute, breaks: ruleStampAfterFloor},
		{name: "a forgotten stamp from the future drags no other key along", script: floorFromFuture},
		{name: "a clock that jumps ahead collects nothing early", script: jumpCollects, breaks: ruleMedianClock},
		{name: "a pod restarts with a clock that shows the same time again", script: frozenClock},
		{name: "a lower boot number is accepted", script: lowerBoot},
		{name: "a local write beyond the scale of stamps fails", script: absurdStamp},
		{name: "a pod seeds before it has caught up", script: seedsEarly, breaks: ruleSeedsBelowWrites},
	}
}

// A local write gets a stamp above those that it replaces, whatever the clock says.
//
//	a: ── (alone, an hour ahead) set k ──╮
//	b: ──────────────────────────────────┴── set k: wins
func poisonedKey(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Cut("a")
	w.Settle()
	w.Settle()
	w.Pod("a").Jump(time.Hour)
	w.Pod("a").Set("k", "poisoned")
	w.Pod("a").Jump(-time.Hour)
	w.Heal("a")
	w.Settle()
	w.Want("k", "poisoned")
	w.Pod("b").Set("k", "later")
	w.Settle()
	w.Want("k", "later")
}

// What b's write of the poisoned key needs, its other keys do not get.
func poisonSpreads(w *sim.World) {
	poisonedKey(w)
	b := w.Pod("b")
	b.Set("other", "v")
	if v, _ := b.Version("other"); v.Stamp > b.Instant().Wall+int64(time.Minute) {
		w.Fail("script", "b stamps another key %v, an hour ahead", v)
	}
}

// The floor, the newest stamp ever collected, travels with the vector: d, whose clock is slow, never saw k or its
// tombstone, and still writes after the delete.
//
//	f (+25 s): ── set k ─ delete k ── collected ──╮
//	d (-30 s):                                    ╰── joins ── set k: after the delete
func floorRemembers(w *sim.World) {
	f := w.Start(sim.PodConfig{Name: "f", Clock: 25 * time.Second})
	w.Advance(time.Second)
	f.Set("k", "v")
	f.Set("other", "v")
	f.Delete("k")
	deleted, _ := f.Version("k")
	w.Advance(w.TombstoneTTL + 6*time.Second)
	w.WantForgotten("k", "f")
	d := w.Start(sim.PodConfig{Name: "d", Clock: -30 * time.Second})
	w.Settle()
	w.Want("other", "v")
	d.Set("k", "again")
	if v, _ := d.Version("k"); v.Compare(deleted) < 0 {
		w.Fail("G4", "d writes k at %v, before the delete at %v", v, deleted)
	}
}

// The same where both clocks are wrong by nearly the TTL: the floor is further ahead of d than the skew bound, and d
// must take it all the same.
//
//	f (+110 s): ── set k ─ delete k ── collected after 2 min ──╮
//	d (-110 s):                                                ╰── joins ── set k: after the delete
func floorOfLateClock(w *sim.World) {
	wrong := w.TombstoneTTL - 10*time.Second
	f := w.Start(sim.PodConfig{Name: "f", Clock: wrong})
	w.Advance(time.Second)
	f.Set("k", "v")
	f.Set("other", "w")
	f.Delete("k")
	deleted, _ := f.Version("k")
	w.Advance(w.TombstoneTTL + 6*time.Second)
	w.WantForgotten("k", "f")
	d := w.Start(sim.PodConfig{Name: "d", Clock: -wrong})
	w.Settle()
	w.Want("other", "w")
	if ahead := time.Duration(deleted.Stamp - d.Instant().Wall); ahead < time.Minute {
		w.Fail("script", "the delete is only %v ahead of d", ahead)
	}
	d.Set("k", "again")
	if v, _ := d.Version("k"); v.Compare(deleted) < 0 {
		w.Fail("G4", "d writes k at %v, before the delete at %v", v, deleted)
	}
}

// A key that a broken clock stamped a year ahead gets a write with a deadline, which must be stamped after that. Once it
// is forgotten its stamp counts for no other key, neither here nor at a pod that is told of the floor.
//
//	a: ── (a year ahead) set k ── (right again) set k, ttl 5 s ── collected ── set other: about now
//	b:                                                                     ╰── joins ── set another: about now
func floorFromFuture(w *sim.World) {
	const year = 365 * 24 * time.Hour
	a := w.Pod("a")
	a.Jump(year)
	a.Set("k", "poisoned")
	a.Jump(-year)
	_ = a.Write(sim.Op{Key: "k", Value: "brief", TTL: 5 * time.Second})
	if v, _ := a.Version("k"); v.Stamp < a.Instant().Wall+int64(year)/2 {
		w.Fail("script", "a stamps k %v, before what it replaces", v)
	}
	w.Forget()
	w.WantForgotten("k", "a")
	a.Set("other", "v1")
	b := w.Pod("b")
	w.Settle()
	b.Set("another", "v2")
	for key, p := range map[string]*sim.Pod{"other": a, "another": b} {
		if v, _ := p.Version(key); v.Stamp > p.Instant().Wall+int64(time.Minute) {
			w.Fail("script", "%s stamps %s %v", p.Name, key, v)
		}
	}
}

// A clock off by more than the skew bound is overruled by the median of the live pods'.
func jumpCollects(w *sim.World) {
	w.Pods("a", "b", "c", "d")
	w.Pod("c").Set("k", "v")
	w.Settle()
	w.Pod("c").Delete("k")
	w.Settle()
	w.Pod("c").Jump(time.Hour)
	w.Advance(20 * time.Second)
	if _, held := w.Pod("c").Version("k"); !held {
		w.Fail("script", "c has collected a tombstone of 20 s, for its clock jumped")
	}
}

// The low bits of a boot are random, so that two runs with one start time are two origins.
func frozenClock(w *sim.World) {
	w.Pods("a", "b", "c")
	w.Pod("a").Set("k", "first")
	w.Pod("a").Set("gone", "first")
	w.Settle()
	for range 3 {
		w.Pod("a").NoSnapshot = true
		w.Pod("a").RestartFrozen()
		w.Settle()
		w.Want("k", "first")
	}
	w.Pod("a").Set("k", "second")
	w.Pod("a").Delete("gone")
	w.Settle()
	w.Want("k", "second")
	w.WantAbsent("gone")
}

// Nothing relies on boots that rise.
func lowerBoot(w *sim.World) {
	w.Pods("a", "b")
	w.Pod("a").Set("k", "first")
	w.Settle()
	w.Pod("a").RestartAt(42)
	w.Settle()
	w.Pod("a").Set("k", "second")
	w.Settle()
	w.Want("k", "second")
}

// Every peer would refuse such a write and keep a hole for ever.
func absurdStamp(w *sim.World) {
	w.Pods("a", "b")
	w.Cut("a")
	w.Settle()
	w.Settle()
	const centuries = 200 * 365 * 24 * time.Hour
	w.Pod("a").Jump(centuries)
	if err := w.Pod("a").Write(sim.Op{Key: "k", Value: "v"}); err == nil {
		w.Fail("script", "a write stamped past 2200 is taken")
	}
	if err := w.Pod("a").Write(sim.Op{Key: "k", Value: "v1"}, sim.Op{Key: "l", Value: "v2"}); err == nil {
		w.Fail("script", "a batch stamped past 2200 is taken")
	}
	w.Pod("a").Jump(-centuries)
	w.Pod("a").Set("k", "right")
	w.Heal("a")
	w.Settle()
	w.Want("k", "right")
}

// Seeds are ordered below every write: b seeds without knowing what a wrote.
//
//	a: ── set k ─────────────╮
//	b: ── (cut off) seed k ──┴── a's value
func seedsEarly(w *sim.World) {
	w.Pod("a").Set("k", "written")
	w.Pod("a").Set("deleted", "v")
	w.Advance(time.Second)
	w.Pod("a").Delete("deleted")
	w.Pod("b")
	w.Cut("b")
	w.Advance(10 * time.Millisecond)
	w.Pod("b").Restart()
	w.Advance(time.Second)
	w.Pod("b").Seed(sim.Op{Key: "k", Value: "seeded"}, sim.Op{Key: "deleted", Value: "seeded too"}, sim.Op{Key: "new", Value: "seeded as well"})
	w.Heal("b")
	w.Settle()
	w.Want("k", "written")
	w.WantAbsent("deleted")
	w.Want("new", "seeded as well")
}
