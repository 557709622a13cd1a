package podshare_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport/transporttest"
)

// G1: once a partition ends, all pods are the same within three heartbeats and the exchange that follows,
// with nobody calling anything.
//
//	a, b: ──┬─ writes, deletes ──┬── same
//	c, d: ──┴─ writes, deletes ──┴── same
func TestPartitionHealsWithinThreeHeartbeats(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, seed)
				stores := openAll(t, net, "a", "b", "c", "d")
				rng := rand.New(rand.NewPCG(seed, 1))
				writeRandomly(t, rng, stores, 100)
				pass(threeHeartbeats)
				net.Cut("a", "b")
				net.SetStoreFaults(transporttest.StoreFaults{SnapshotError: 1, FetchError: 1})
				for range 60 {
					writeRandomly(t, rng, stores, 5)
					pass(time.Second)
				}
				require.NotEqual(t, stores[0].Snapshot(), stores[2].Snapshot())
				net.Calm()
				pass(healing)
				requireSame(t, stores...)
			})
		})
	}
}

// G1 again, over a network that loses, repeats, delays and reorders, with pods that are killed and return
// under their names.
func TestLossyNetworkAndRestartsConverge(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, seed, transporttest.WithEcho(), transporttest.WithFaults(transporttest.Faults{
					Drop: 0.2, Duplicate: 0.2, Reorder: 0.2, Corrupt: 0.02, MaxDelay: 50 * time.Millisecond,
				}))
				names := []string{"a", "b", "c", "d", "e"}
				stores := openAll(t, net, names...)
				rng := rand.New(rand.NewPCG(seed, 1))
				for range 20 {
					writeRandomly(t, rng, stores, 20)
					pass(time.Second)
					i := rng.IntN(len(stores))
					require.NoError(t, net.Pod(names[i]).Close()) // killed: no goodbye, no last snapshot
					_ = stores[i].Close()
					stores[i] = open(t, net.Pod(names[i]), names[i])
				}
				net.Calm()
				pass(2 * healing)
				requireSame(t, stores...)
			})
		})
	}
}

// A topic with ten stores on one broker.
func TestTenStoresOfATopicHoldTheSame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		var stores []*podshare.Store[string]
		for i := range 10 {
			stores = append(stores, open(t, tr, fmt.Sprint("pod ", i)))
		}
		writeRandomly(t, rand.New(rand.NewPCG(1, 1)), stores, 500)
		synctest.Wait()
		pass(healing)
		requireSame(t, stores...)
	})
}

// G3: a deleted key stays dead, although a pod was away longer than the tombstone TTL; G2: what that pod wrote
// while away is not lost.
//
//	a: ──set k──╮         (cut off) set mine          ╭── back
//	b: ─────────┴─ delete k ── tombstone collected ───┴── k stays dead, mine is here
func TestDeletedKeyStaysDeadWhenAPodReturnsAfterTheTombstoneTTL(t *testing.T) {
	for name, restart := range map[string]bool{"it ran all the time": false, "it was restarted": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				opts := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
				a := open(t, net.Pod("a"), "a", opts...)
				b, c := open(t, net.Pod("b"), "b", opts...), open(t, net.Pod("c"), "c", opts...)
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "v", "stays": "v"}))
				pass(threeHeartbeats)
				net.Cut("a")
				net.SetPodFaults("a", transporttest.PodFaults{StoreError: 1})
				require.NoError(t, b.Delete(t.Context(), "k"))
				require.NoError(t, a.Set(t.Context(), "mine", "v"))
				pass(10 * time.Minute)
				require.Zero(t, b.Stats().Tombstones, "collected")
				require.Zero(t, c.Stats().Tombstones, "collected")
				requireHolds(t, a, "k", "v")
				if restart {
					require.NoError(t, b.Close())
					b = open(t, net.Pod("b"), "b", opts...)
				}
				net.Calm()
				pass(healing)
				for _, s := range []*podshare.Store[string]{a, b, c} {
					require.Equal(t, map[string]string{"stays": "v", "mine": "v"}, s.Snapshot(), s.NodeID())
				}
			})
		})
	}
}

// G3: a Set from before the delete stays dead, delivered again after the tombstone was collected, also at pods
// that never saw it.
func TestReplayedSetFromBeforeACollectedDeleteStaysDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		opts := []podshare.Option[string]{podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second)}
		a, b := open(t, tr, "a", opts...), open(t, tr, "b", opts...)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Second)
		captured := tr.sent(t, wire.KindData)[0]
		require.NoError(t, b.Delete(t.Context(), "k"))
		pass(5 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		require.Zero(t, b.Stats().Tombstones)
		late := open(t, tr, "late", opts...)
		restarted := open(t, tr, "b", opts...)
		pass(healing)

		for range 3 {
			publish(t, tr, captured)
			pass(healing)
			for _, s := range []*podshare.Store[string]{a, b, late, restarted} {
				requireAbsent(t, s, "k")
			}
		}
		require.NoError(t, late.Set(t.Context(), "k", "anew"))
		synctest.Wait()
		requireHolds(t, a, "k", "anew")
	})
}

// G4: a pod whose clock is far ahead locks nobody out: whatever follows its write takes effect.
func TestWriteFromAClockAnHourAheadLocksNobodyOut(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, s *podshare.Store[string]){
		"Set": func(t *testing.T, s *podshare.Store[string]) {
			require.NoError(t, s.Set(t.Context(), "k", "new"))
		},
		"SetMany": func(t *testing.T, s *podshare.Store[string]) {
			require.NoError(t, s.SetMany(t.Context(), map[string]string{"k": "new", "l": "new"}))
		},
		"TrySet": func(t *testing.T, s *podshare.Store[string]) {
			won, err := s.TrySet(t.Context(), "k", "new", s.Version("k"))
			require.NoError(t, err)
			require.True(t, won)
		},
		"Delete": func(t *testing.T, s *podshare.Store[string]) {
			require.NoError(t, s.Delete(t.Context(), "k"))
		},
		"Delete, then Set": func(t *testing.T, s *podshare.Store[string]) {
			require.NoError(t, s.Delete(t.Context(), "k"))
			require.NoError(t, s.Set(t.Context(), "k", "new"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := newMemory(t)
				a, b := open(t, tr, "a"), open(t, tr, "b")
				x := newStranger("x")
				x.ahead = time.Hour
				publish(t, tr, x.data(x.set("k", `"poison"`)))
				synctest.Wait()
				requireHolds(t, a, "k", "poison")

				write(t, b)
				synctest.Wait()
				if strings.HasSuffix(name, "Delete") {
					requireAbsent(t, a, "k")
					requireAbsent(t, b, "k")
				} else {
					requireHolds(t, a, "k", "new")
					requireHolds(t, b, "k", "new")
				}
				require.NoError(t, a.Set(t.Context(), "k", "newer"))
				require.NoError(t, a.Set(t.Context(), "other", "v"))
				synctest.Wait()
				requireHolds(t, b, "k", "newer")
				require.WithinDuration(t, time.Now(), a.Version("other").Timestamp, time.Second, "the poison stays with its key")
				requireSame(t, a, b)
			})
		})
	}
}

// Beyond the skew bound a write is reported and still applied; with a bound of zero it is not reported.
func TestWriteFromAClockFarAheadIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		opts     []podshare.Option[string]
		ahead    time.Duration
		reported bool
	}{
		"by default beyond a minute": {nil, 2 * time.Minute, true},
		"not within it":              {nil, 30 * time.Second, false},
		"beyond the bound set":       {[]podshare.Option[string]{podshare.WithMaxClockSkew[string](time.Second)}, 2 * time.Second, true},
		"never with zero":            {[]podshare.Option[string]{podshare.WithMaxClockSkew[string](0)}, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				tr := newMemory(t)
				a := open(t, tr, "a", append(tc.opts, log.to())...)
				x := newStranger("x")
				x.ahead = tc.ahead
				publish(t, tr, x.data(x.set("k", `"v"`)))
				synctest.Wait()
				requireHolds(t, a, "k", "v")
				require.Equal(t, tc.reported, log.count(nil) > 0)
			})
		})
	}
}

// Two pods started with one node ID at the same moment stay correct, and both are told.
func TestTwoPodsWithOneNodeIDStayCorrectAndAreTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		var logs [2]errorLog
		twins := make(chan *podshare.Store[string], 2)
		for i := range 2 {
			go func() {
				s, err := podshare.New(staying, topic, tr, podshare.WithNodeID[string]("twin"), logs[i].to())
				if err != nil {
					t.Error(err)
				}
				twins <- s
			}()
		}
		a, b := <-twins, <-twins
		defer a.Close()
		defer b.Close()
		c := open(t, tr, "c")
		for i := range 10 {
			require.NoError(t, a.Set(t.Context(), fmt.Sprint("a", i), "v"))
			require.NoError(t, b.Set(t.Context(), fmt.Sprint("b", i), "v"))
			require.NoError(t, a.Set(t.Context(), "both", fmt.Sprint("a", i)))
			require.NoError(t, b.Set(t.Context(), "both", fmt.Sprint("b", i)))
		}
		late := open(t, tr, "late")
		pass(time.Minute)
		requireSame(t, a, b, c, late)
		require.Len(t, a.Keys(), 21)
		for i := range logs {
			require.Equal(t, 1, logs[i].count(podshare.ErrNodeIDTaken), "told once")
		}
	})
}

// A restart under the same name is no second pod of that name.
func TestRestartUnderTheSameNodeIDIsNotReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var log errorLog
		open(t, net.Pod("other"), "other", log.to())
		a := open(t, net.Pod("a"), "a")
		pass(threeHeartbeats)
		require.NoError(t, net.Pod("a").Close()) // killed
		_ = a.Close()
		open(t, net.Pod("a"), "a", log.to())
		pass(time.Minute)
		require.Zero(t, log.count(podshare.ErrNodeIDTaken))
	})
}

func openAll(t testing.TB, net *transporttest.Network, names ...string) []*podshare.Store[string] {
	t.Helper()
	var stores []*podshare.Store[string]
	for _, name := range names {
		stores = append(stores, open(t, net.Pod(name), name))
	}
	return stores
}

// writeRandomly makes n random writes at random stores.
func writeRandomly(t testing.TB, rng *rand.Rand, stores []*podshare.Store[string], n int) {
	t.Helper()
	for range n {
		s, key := stores[rng.IntN(len(stores))], fmt.Sprint("key ", rng.IntN(20))
		var err error
		switch rng.IntN(6) {
		case 0, 1:
			err = s.Delete(t.Context(), key)
		case 2:
			err = s.SetMany(t.Context(), map[string]string{key: "batch", "key 1": fmt.Sprint(rng.Uint32())})
		default:
			err = s.Set(t.Context(), key, fmt.Sprint(rng.Uint32()))
		}
		require.NoError(t, err)
	}
}
