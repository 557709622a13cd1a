package podshare_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport/transporttest"
)

const lease = 10 * time.Second

// fleet is three pods on a network with faults, which have met.
type fleet struct {
	net     *transporttest.Network
	a, b, o *podshare.Store[string]
}

func newFleet(t testing.TB, opts ...podshare.Option[string]) *fleet {
	t.Helper()
	net := newNetwork(t, 1)
	f := &fleet{net: net}
	f.a, f.b, f.o = open(t, net.Pod("a"), "a", opts...), open(t, net.Pod("b"), "b", opts...), open(t, net.Pod("o"), "o", opts...)
	pass(threeHeartbeats)
	return f
}

// kill ends a pod without a goodbye: it is cut off for good.
func (f *fleet) kill(pod string) { f.net.Cut(pod) }

// An owned key is served on all pods for as long as its store is there, and costs no traffic.
func TestOwnedKeysAreServedEverywhereWithoutRenewalTraffic(t *testing.T) {
	idle := func(owned int) (bytes int) {
		bubble(t, func(t *testing.T) {
			tr := &tap{Transport: newMemory(t)}
			a, b := open(t, tr, "a"), open(t, tr, "b")
			pass(threeHeartbeats)
			for key := range numbered(owned, "") {
				require.NoError(t, a.SetOwned(t.Context(), key, "v"))
			}
			pass(time.Minute)
			_, before := tr.traffic()
			pass(time.Hour)
			_, after := tr.traffic()
			require.Equal(t, owned, a.Len())
			require.Equal(t, owned, b.Len())
			bytes = after - before
		})
		return bytes
	}
	without, with := idle(0), idle(1000)
	require.InEpsilon(t, without, with, 0.02, "bytes of an idle hour") // heartbeats are spread at random
}

// When no pod has heard of the owner for the lease the key is gone everywhere, and watchers get one EventExpire.
func TestOwnedKeysOfAKilledPodGoWithinLeaseAndHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t)
		require.NoError(t, f.o.SetOwned(t.Context(), "k", "v"))
		require.NoError(t, f.o.Set(t.Context(), "stays", "v"))
		pass(time.Minute)
		ea, eb := f.a.Watch(t.Context()), f.b.Watch(t.Context())
		f.kill("o")
		pass(lease - 1200*time.Millisecond) // the last heartbeat may be that old
		requireHolds(t, f.a, "k", "v")
		requireHolds(t, f.b, "k", "v")
		pass(1200*time.Millisecond + time.Second)
		requireUnserved(t, f.a, "k")
		requireUnserved(t, f.b, "k")
		pass(time.Hour)
		require.Equal(t, toldExpire, kinds(t, ea, "k"))
		require.Equal(t, toldExpire, kinds(t, eb, "k"))
		requireHolds(t, f.a, "stays", "v")
		requireHolds(t, f.o, "k", "v") // at the owner it is there
	})
}

// A store that closes says goodbye: its keys are gone everywhere at once, however many, and so come the events.
func TestOwnedKeysGoAtOnceWithTheirStoresGoodbye(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t)
		const n = 5000
		for key := range numbered(n, "") {
			require.NoError(t, f.o.SetOwned(t.Context(), key, "v"))
		}
		pass(healing) // more frames than the transport may hold
		require.Equal(t, n, f.a.Len())
		events := f.a.Watch(t.Context(), podshare.WatchConflate())
		require.NoError(t, f.o.Close())
		synctest.Wait()
		require.Zero(t, len(f.a.Keys()))
		require.Zero(t, f.a.Len())
		require.Zero(t, f.b.Len())
		expired := 0
		for start := time.Now(); expired < n; expired++ {
			require.Equal(t, podshare.EventExpire, (<-events).Kind)
			require.Less(t, time.Since(start), 100*time.Millisecond)
		}
	})
}

// A pod that was cut off for longer than the lease gets its keys back, unless somebody else has written them, or
// deleted them before they lapsed.
func TestCutOffOwnerGetsItsKeysBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t)
		for _, key := range []string{"k", "deleted", "written", "tried"} {
			require.NoError(t, f.o.SetOwned(t.Context(), key, "v"))
		}
		pass(time.Second)
		ea, eo := f.a.Watch(t.Context()), f.o.Watch(t.Context())
		f.net.Cut("o")
		f.net.SetStoreFaults(transporttest.StoreFaults{FetchError: 1}) // o would learn from there
		pass(time.Second)
		require.NoError(t, f.a.Delete(t.Context(), "deleted"))
		pass(time.Minute)
		for _, key := range []string{"k", "deleted", "written", "tried"} {
			requireUnserved(t, f.a, key)
			requireUnserved(t, f.b, key)
			requireHolds(t, f.o, key, "v")
		}
		require.NoError(t, f.b.Set(t.Context(), "written", "by b"))
		won, err := f.b.TrySet(t.Context(), "tried", "by b", podshare.Version{})
		require.NoError(t, err)
		require.True(t, won)
		require.Equal(t, toldExpire, kinds(t, ea, "k"))
		f.net.Heal()
		f.net.SetStoreFaults(transporttest.StoreFaults{})
		pass(2 * healing)
		want := map[string]string{"k": "v", "written": "by b", "tried": "by b"}
		for _, s := range []*podshare.Store[string]{f.a, f.b, f.o} {
			require.Equal(t, want, s.Snapshot(), s.NodeID())
		}
		requireSame(t, f.a, f.b, f.o)
		require.Equal(t, toldSet, kinds(t, ea, "k"))
		got, _ := drain(eo)
		for _, ev := range got {
			require.NotEqual(t, "k", ev.Key, "nothing happened to it at its owner: %v", ev.Kind)
		}
		pass(time.Hour)
		require.Equal(t, want, f.a.Snapshot())
		require.Empty(t, kinds(t, ea, "k"))
	})
}

// Pods that restart one after the other under their names leave neither ghosts nor gaps.
func TestRollingRestartLeavesNeitherGhostsNorGaps(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%v", killed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				names := []string{"a", "b", "c"}
				stores := map[string]*podshare.Store[string]{}
				start := func(name string, run int) {
					s := open(t, net.Pod(name), name)
					require.NoError(t, s.SetOwned(t.Context(), "pod "+name, fmt.Sprint(run)))
					require.NoError(t, s.SetOwned(t.Context(), fmt.Sprintf("run %d of %s", run, name), "v"))
					stores[name] = s
				}
				for _, name := range names {
					start(name, 0)
				}
				pass(healing)
				for run := 1; run <= 3; run++ {
					for _, name := range names {
						if killed {
							require.NoError(t, net.Pod(name).Close())
						} else {
							require.NoError(t, stores[name].Close())
						}
						start(name, run)
						pass(100 * time.Millisecond)
						for _, s := range stores {
							requireHolds(t, s, "pod "+name, fmt.Sprint(run))
						}
						pass(lease + 2*time.Second)
						for _, s := range stores {
							require.Equal(t, 6, s.Len(), "%s: %v", s.NodeID(), s.Snapshot())
						}
					}
				}
				for _, s := range stores {
					for _, name := range names {
						requireHolds(t, s, fmt.Sprintf("run 3 of %s", name), "v")
					}
				}
			})
		})
	}
}

// A store that starts holds the owned keys of others, and serves each from when it hears its owner: those of a pod that
// is dead it never shows.
func TestJoinerNeverShowsTheKeysOfADeadOwner(t *testing.T) {
	for _, by := range []string{"snapshot", "repair"} {
		t.Run(by, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t)
				require.NoError(t, f.o.SetOwned(t.Context(), "dead", "v"))
				require.NoError(t, f.a.SetOwned(t.Context(), "live", "v"))
				pass(5 * time.Second)
				f.kill("o")
				if by == "repair" {
					f.net.FlushStore()
				}
				j := open(t, f.net.Pod("j"), "j")
				ref, events := j.Ref("dead"), j.Watch(t.Context(), podshare.WatchInitial())
				for range 300 {
					requireUnserved(t, j, "dead")
					_, ok := ref.Get()
					require.False(t, ok)
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				requireHolds(t, j, "live", "v")
				requireSame(t, j, f.a, f.b)
				told, _ := drain(events)
				for _, ev := range told {
					require.NotEqual(t, "dead", ev.Key)
				}
			})
		})
	}
}

// Set by anybody makes an owned key an ordinary one; TrySet and Update make it the writer's own.
func TestOwnedKeyBelongsToWhoeverWroteItLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t)
		for _, key := range []string{"set", "set by owner", "many", "ttl", "tried", "updated"} {
			require.NoError(t, f.o.SetOwned(t.Context(), key, "o"))
		}
		pass(time.Second)
		require.NoError(t, f.a.Set(t.Context(), "set", "a"))
		require.NoError(t, f.o.Set(t.Context(), "set by owner", "o"))
		require.NoError(t, f.a.SetMany(t.Context(), map[string]string{"many": "a"}))
		require.NoError(t, f.a.SetTTL(t.Context(), "ttl", "a", time.Hour))
		won, err := f.a.TrySet(t.Context(), "tried", "a", f.a.Version("tried"))
		require.NoError(t, err)
		require.True(t, won)
		require.NoError(t, f.a.Update(t.Context(), "updated", func(string, bool) (string, bool) { return "a", true }))
		pass(time.Second)
		require.NoError(t, f.o.Close())
		pass(time.Second)
		all := map[string]string{"set": "a", "set by owner": "o", "many": "a", "ttl": "a", "tried": "a", "updated": "a"}
		require.Equal(t, all, f.b.Snapshot())
		require.NoError(t, f.a.Close())
		synctest.Wait()
		delete(all, "tried")
		delete(all, "updated")
		require.Equal(t, all, f.b.Snapshot())
		pass(time.Hour)
		delete(all, "ttl")
		require.Equal(t, all, f.b.Snapshot())
	})
}

// An owned key with a deadline, which only a later release writes, ends by whichever comes first, once.
func TestOwnedKeyWithADeadlineEndsByWhicheverComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		memory := newMemory(t)
		a := open(t, memory, "a")
		events := a.Watch(t.Context())
		x := newStranger("x")
		write := func(key string, ttl time.Duration) {
			rec := x.set(key, `"v"`)
			rec.Flags, rec.Deadline = wire.FlagOwned, time.Now().Add(ttl).UnixNano()
			publish(t, memory, x.data(rec))
		}
		publish(t, memory, x.heartbeat())
		write("deadline first", 5*time.Second)
		write("lease first", time.Hour)
		pass(5*time.Second - 1)
		requireHolds(t, a, "deadline first", "v")
		time.Sleep(time.Nanosecond)
		requireUnserved(t, a, "deadline first")
		pass(5*time.Second - 1)
		requireHolds(t, a, "lease first", "v")
		time.Sleep(time.Nanosecond)
		requireUnserved(t, a, "lease first")
		pass(2 * time.Hour)
		want := append(toldSet, toldExpire...)
		got, _ := drain(events)
		require.Len(t, got, 4)
		for i, key := range []string{"deadline first", "lease first"} {
			require.Equal(t, want[0], got[i].Kind)
			require.Equal(t, key, got[i].Key)
			require.Equal(t, want[1], got[i+2].Kind)
			require.Equal(t, key, got[i+2].Key)
		}
	})
}

// A lease is never less than three heartbeats.
func TestShortLeaseIsThreeHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, podshare.WithLease[string](time.Millisecond))
		require.NoError(t, f.o.SetOwned(t.Context(), "k", "v"))
		synctest.Wait()
		events := f.a.Watch(t.Context())
		pass(time.Hour)
		require.Empty(t, kinds(t, events, "k"))
		f.kill("o")
		pass(1800 * time.Millisecond)
		requireHolds(t, f.a, "k", "v")
		pass(1200 * time.Millisecond)
		requireUnserved(t, f.a, "k")
	})
}

// However many keys lapse, all are unserved from one moment on, all are told, and writers are not held up.
func TestManyKeysLapseAtOneMoment(t *testing.T) {
	const n = 50_000
	bubble(t, func(t *testing.T) {
		f := newFleet(t)
		for key := range numbered(n, "") {
			require.NoError(t, f.o.SetOwned(staying, key, "v"))
		}
		pass(healing)
		require.Equal(t, n, f.a.Len())
		events := f.a.Watch(t.Context(), podshare.WatchConflate())
		f.kill("o")
		for f.a.Len() == n { // in steps that are no multiple of a tick
			time.Sleep(777 * time.Microsecond)
		}
		gone := time.Now()
		require.Zero(t, f.a.Len())
		require.Empty(t, f.a.Keys())
		expired := map[string]bool{}
		written := 0
		for len(expired) < n {
			ev := <-events
			require.Equal(t, podshare.EventExpire, ev.Kind)
			require.False(t, expired[ev.Key], "told twice")
			if expired[ev.Key] = true; len(expired)%1000 == 0 {
				key := fmt.Sprint("written ", len(expired))
				require.NoError(t, f.a.Set(staying, key, "v"))
				requireHolds(t, f.a, key, "v")
				written++
				require.Equal(t, podshare.EventSet, firstOf(events, key, expired))
			}
		}
		require.Less(t, time.Since(gone), time.Second)
		require.Equal(t, written, f.a.Len())
	})
}

// firstOf reads events until one of the key comes, and notes the others as expired.
func firstOf(events <-chan podshare.Event[string], key string, expired map[string]bool) podshare.EventKind {
	for ev := range events {
		if ev.Key == key {
			return ev.Kind
		}
		expired[ev.Key] = true
	}
	return -1
}

// Keys that are written again after a heal go out within seconds, in frames within the limit.
func TestKeysWrittenAgainFitTheFrames(t *testing.T) {
	const n, frame = 20_000, 64 << 10
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		out := &tap{Transport: net.Pod("o")}
		a, o := open(t, net.Pod("a"), "a", small(frame)), open(t, out, "o", small(frame))
		pass(threeHeartbeats)
		for key := range numbered(n, "") {
			require.NoError(t, o.SetOwned(staying, key, "v"))
		}
		pass(healing)
		net.Cut("o")
		pass(2 * lease)
		require.Zero(t, a.Len())
		net.Heal()
		pass(healing + time.Second)
		require.Equal(t, n, a.Len())
		for _, f := range out.frames {
			require.LessOrEqual(t, len(f.frame), frame)
		}
	})
}

// A transport that is stuck while keys wait to be written again costs the owner nothing but the waiting.
func TestStuckTransportWhileKeysAreWrittenAgain(t *testing.T) {
	const n = 20_000
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var stuck atomic.Bool
		out := &tap{Transport: net.Pod("o")}
		out.onPublish = func(ctx context.Context, topic string, msg []byte) error {
			if h, _, _ := wire.Open(msg, wire.Limits{MaxFrame: math.MaxInt32}); stuck.Load() && h.Kind == wire.KindData {
				<-ctx.Done()
				return ctx.Err()
			}
			return out.Transport.Publish(ctx, topic, msg)
		}
		a, o := open(t, net.Pod("a"), "a"), open(t, out, "o")
		pass(threeHeartbeats)
		for key := range numbered(n, "") {
			require.NoError(t, o.SetOwned(staying, key, "v"))
		}
		pass(healing)
		net.Cut("o")
		pass(2 * lease)
		stuck.Store(true)
		net.Heal()
		pass(time.Minute)
		require.Equal(t, n, o.Len())
		stuck.Store(false)
		pass(time.Minute)
		require.Equal(t, n, a.Len())
	})
}
