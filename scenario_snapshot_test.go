package podshare

import (
	"fmt"
	"time"

	"github.com/podshare/podshare/internal/sim"
)

func snapshotScenarios() []scenario {
	return []scenario{
		{name: "the snapshot store is flushed", script: storeFlushed},
		{name: "the snapshot store is rolled back", script: storeRolledBack},
		{name: "a merge into the snapshot store fails", script: storeFails},
		{name: "a refused value in a snapshot", script: refusedBySnapshot, breaks: ruleHoles},
	}
}

// restartAll stops every pod and starts them again from the snapshot.
func restartAll(w *sim.World) {
	for _, p := range w.Live() {
		p.Stop()
	}
	w.Advance(time.Second)
	for _, name := range []string{"a", "b", "c"} {
		w.Pod(name).Restart()
	}
	w.Settle()
}

func storing(w *sim.World) {
	w.Store.Debounce = time.Second
	w.Pods("a", "b", "c")
	for i := range 5 {
		w.Pod("a").Set(fmt.Sprint("k", i), fmt.Sprint("v", i))
		w.Advance(5 * time.Second)
	}
	w.Pod("b").Delete("k0")
	w.Advance(15 * time.Second)
}

func wantStored(w *sim.World) {
	w.WantAbsent("k0")
	for i := 1; i < 5; i++ {
		w.Want(fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
}

// What the store lost comes back with the next merge, from those that hold it.
func storeFlushed(w *sim.World) {
	storing(w)
	w.Store.Flush()
	w.Pod("c").Set("later", "v")
	w.Advance(15 * time.Second)
	wantStored(w)
	restartAll(w)
	wantStored(w)
	w.Want("later", "v")
}

// An older state is merged like any: it claims less than the pods hold, and takes nothing from them.
func storeRolledBack(w *sim.World) {
	storing(w)
	w.Store.RollBack(4)
	w.Pod("c").Set("later", "v")
	w.Advance(15 * time.Second)
	wantStored(w)
	restartAll(w)
	wantStored(w)
	w.Want("later", "v")
}

// What changed stays to be stored until that has succeeded.
func storeFails(w *sim.World) {
	storing(w)
	w.Store.Fails = true
	w.Pod("c").Set("later", "v")
	w.Pod("a").Delete("k4")
	w.Advance(15 * time.Second)
	w.Store.Fails = false
	w.Advance(15 * time.Second)
	restartAll(w)
	w.Want("later", "v")
	w.WantAbsent("k4")
}

// A pod that takes a snapshot in must not cover what it refuses of it.
func refusedBySnapshot(w *sim.World) {
	w.Pods("a")
	w.Pod("a").Set("k", large())
	w.Pod("a").Set("small", "v")
	w.Pod("a").Persist()
	w.Advance(time.Second)
	w.Start(sim.PodConfig{Name: "c", MaxValue: 40})
	w.Advance(time.Minute)
	w.Want("small", "v")
	w.Want("k", large(), "a")
	w.WantAbsent("k", "c")
}
