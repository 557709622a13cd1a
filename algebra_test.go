package podshare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podshare/podshare/internal/sim"
	"github.com/podshare/podshare/internal/wire"
)

// history is writes of some pods that have partly seen each other's, as the frames that carry them.
func history(t *testing.T, seed uint64, merge bool) [][]byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	at := sim.Instant{Wall: sim.Epoch}
	var pods []sim.Machine
	for i := range 3 {
		pods = append(pods, algebraMachine(fmt.Sprint("p", i), merge, at))
	}
	var frames [][]byte
	for i := range 6 {
		at.Wall += rng.Int64N(3) // stamps that collide, too
		writer := pods[rng.IntN(len(pods))]
		key := fmt.Sprint("k", rng.IntN(2))
		op := sim.Op{Key: key, Value: fmt.Sprint("v", i), Delete: rng.IntN(3) == 0}
		ops := []sim.Op{op}
		if rng.IntN(4) == 0 {
			ops = []sim.Op{{Key: "k0", Value: fmt.Sprint("b", i)}, {Key: "k1", Value: fmt.Sprint("c", i)}}
		}
		if err := writer.Write(at, ops); err != nil {
			t.Fatal(err)
		}
		for _, f := range writer.Frames(at) {
			if f.Kind != wire.KindData.String() {
				continue
			}
			frames = append(frames, f.Bytes)
			for _, p := range pods {
				if p != writer && rng.IntN(2) == 0 {
					receiveFrame(t, p, at, f.Bytes)
				}
			}
		}
	}
	return frames
}

func algebraMachine(node string, merge bool, at sim.Instant) sim.Machine {
	return simMaker(0)(sim.Config{
		Node: node, Boot: wire.HashNode([]byte(node)), TombstoneTTL: time.Hour, Lease: time.Minute, Merge: merge,
		Changed: func(sim.Event) {},
	}, at)
}

func receiveFrame(t *testing.T, m sim.Machine, at sim.Instant, frame []byte) {
	t.Helper()
	if err := m.Receive(at, slices.Clone(frame)); err != nil {
		t.Fatal(err)
	}
}

// stateOf describes all that a machine holds and has seen.
func stateOf(t *testing.T, m sim.Machine, at sim.Instant) string {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	vector, digest := m.Fingerprint()
	fmt.Fprintf(&b, "vector %x digest %x", vector, digest)
	for _, key := range m.Keys() {
		v, _ := m.Held(key)
		value, served := m.Get(at, key)
		fmt.Fprintf(&b, "; %s=%q %v %v", key, value, served, v)
	}
	return b.String()
}

// Updates commute, associate and may be repeated: whatever the order in which a replica gets them, with whatever
// repetitions, it ends in the same state.
func TestApplyCommutesAssociatesRepeats(t *testing.T) {
	for _, merge := range []bool{false, true} {
		t.Run(fmt.Sprintf("merge=%v", merge), func(t *testing.T) {
			at := sim.Instant{Wall: sim.Epoch + int64(time.Second)}
			for seed := range uint64(40) {
				frames := history(t, seed, merge)
				var want string
				permute(len(frames), func(order []int) {
					m := algebraMachine("reader", merge, at)
					for n, i := range order {
						receiveFrame(t, m, at, frames[i])
						receiveFrame(t, m, at, frames[order[n/2]])
					}
					got := stateOf(t, m, at)
					if want == "" {
						want = got
					}
					if got != want {
						t.Fatalf("seed %d, order %v:\n got %s\nwant %s", seed, order, got, want)
					}
				})
			}
		})
	}
}

// Adopting a whole state is the same join: one replica from frames, one from a snapshot of half of them and the rest
// as frames, come to the same.
func TestAdoptJoinsLikeApply(t *testing.T) {
	for _, merge := range []bool{false, true} {
		t.Run(fmt.Sprintf("merge=%v", merge), func(t *testing.T) {
			at := sim.Instant{Wall: sim.Epoch + int64(time.Second)}
			for seed := range uint64(300) {
				frames := history(t, seed, merge)
				direct, half, other := algebraMachine("reader", merge, at), algebraMachine("half", merge, at), algebraMachine("other", merge, at)
				for i, f := range frames {
					receiveFrame(t, direct, at, f)
					if i%2 == 0 {
						receiveFrame(t, half, at, f)
					} else {
						receiveFrame(t, other, at, f)
					}
				}
				for _, m := range []sim.Machine{half, half} { // repeated
					if _, err := other.Absorb(at, m.Snapshot(at)); err != nil {
						t.Fatal(err)
					}
				}
				if got, want := stateOf(t, other, at), stateOf(t, direct, at); got != want {
					t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, want)
				}
			}
		})
	}
}

// permute calls fn with every order of n things.
func permute(n int, fn func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var rec func(k int)
	rec = func(k int) {
		if k == n {
			fn(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rec(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rec(0)
}
