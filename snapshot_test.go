package podshare_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport/transporttest"
)

// A seeded key survives the snapshot of a pod that never heard of it.
func TestSeedSurvivesAnotherPodsSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		net.Cut("a") // a and b share nothing but the snapshot store
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		require.NoError(t, a.Seed(map[string]string{"seed": "v"}))
		pass(time.Second)
		require.NoError(t, b.Set(t.Context(), "written", "v"))
		pass(time.Second)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())

		c := open(t, net.Pod("c"), "c")
		require.Equal(t, map[string]string{"seed": "v", "written": "v"}, c.Snapshot())
	})
}

// A pod that only received writes still leaves a snapshot.
func TestPodThatOnlyReceivedWritesLeavesASnapshot(t *testing.T) {
	for name, leave := range map[string]func(*transporttest.Network, *podshare.Store[string]){
		"while it runs": func(net *transporttest.Network, _ *podshare.Store[string]) {
			pass(10 * time.Second)
			net.Cut("b")
		},
		"when it closes": func(_ *transporttest.Network, b *podshare.Store[string]) { _ = b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				net := newNetwork(t, 1)
				a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
				net.SetPodFaults("a", transporttest.PodFaults{StoreError: 1})
				require.NoError(t, a.Set(t.Context(), "k", "v"))
				synctest.Wait()
				require.NoError(t, net.Pod("a").Close()) // dies without a word
				leave(net, b)
				requireHolds(t, open(t, net.Pod("c"), "c"), "k", "v")
			})
		})
	}
}

// What a pod stored but could not send is found when it falls silent.
func TestLastWordsOfAPodAreFoundInTheSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, whole{net.Pod("a")}, "a"), open(t, whole{net.Pod("b")}, "b")
		pass(5 * time.Second)
		net.Cut("a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Second)
		require.NoError(t, net.Pod("a").Close()) // dies without a word
		pass(time.Minute)
		requireHolds(t, b, "k", "v")
	})
}

// Writes gather for the snapshot interval and are stored once.
func TestWritesGatherForTheSnapshotInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithSnapshotInterval[string](time.Minute))
		for range 10 {
			require.NoError(t, s.Set(t.Context(), "k", "v"))
			pass(time.Second)
		}
		require.Zero(t, s.Stats().Snapshots)
		pass(time.Minute)
		require.Equal(t, uint64(1), s.Stats().Snapshots)
		require.Positive(t, s.Stats().SnapshotBytes)
		pass(time.Hour)
		require.Equal(t, uint64(1), s.Stats().Snapshots, "nothing changed")
	})
}

// Storing that takes long is done the less often: it takes a fifth of the time at most. Close waits for no rest.
func TestSnapshotsThatTakeLongAreStoredLessOften(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		tr.onSnapshot = func(ctx context.Context, topic string, data []byte) error {
			time.Sleep(3 * time.Second)
			return tr.Transport.Snapshot(ctx, topic, data)
		}
		s := open(t, tr, "a")
		for range 600 {
			require.NoError(t, s.Set(t.Context(), "k", "v"))
			pass(100 * time.Millisecond)
		}
		require.Equal(t, uint64(4), s.Stats().Snapshots, "one in 15 s of a minute")
		require.NoError(t, s.Set(t.Context(), "k", "last"))
		before := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 3*time.Second, time.Since(before))
		requireHolds(t, open(t, whole{tr.Transport}, "b"), "k", "last")
	})
}

// N pods do not store everything N times.
func TestWriteIsStoredByItsAuthorOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		var stores []*podshare.Store[string]
		for _, node := range []string{"a", "b", "c", "d", "e"} {
			stores = append(stores, open(t, tr, node))
		}
		require.NoError(t, stores[0].Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Equal(t, uint64(1), stores[0].Stats().Snapshots)
		for _, s := range stores[1:] {
			require.Zero(t, s.Stats().Snapshots, s.NodeID())
		}
	})
}

// What changed stays to be stored until that has succeeded.
func TestFailedSnapshotIsReportedAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a", log.to())
		net.SetStoreFaults(transporttest.StoreFaults{SnapshotError: 1})
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.Positive(t, log.count(transporttest.ErrInjected))
		net.Calm()
		pass(time.Minute)
		net.Cut("a")
		requireHolds(t, open(t, net.Pod("b"), "b"), "k", "v")
	})
}

// An unreadable stored snapshot is reported and replaced, never fatal.
func TestUnreadableStoredSnapshotIsReportedAndReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := whole{newMemory(t)}
		require.NoError(t, tr.Snapshot(t.Context(), topic, []byte("garbage")))
		a := open(t, tr, "a", log.to())
		synctest.Wait()
		require.Equal(t, 1, log.count(nil))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Close())
		requireHolds(t, open(t, tr, "b"), "k", "v")
	})
}

// A snapshot store that is flushed loses nothing that a live pod holds.
func TestFlushedSnapshotIsWholeAgainAfterTheNextWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, net.Pod("a"), "a")
		require.NoError(t, a.Set(t.Context(), "old", "v"))
		pass(time.Second)
		net.FlushStore()
		require.NoError(t, a.Set(t.Context(), "new", "v"))
		pass(time.Second)
		net.Cut("a")
		require.Len(t, open(t, net.Pod("b"), "b").Keys(), 2)
	})
}

// One undecodable entry in the stored snapshot does not fail New, hides nothing else, and does not make the
// pods talk for ever.
func TestUndecodableEntryInStoredSnapshotIsHarmless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := &tap{Transport: newMemory(t)}
		x := newStranger("x")
		require.NoError(t, tr.Snapshot(t.Context(), topic, x.snapshot(x.set("good", `"v"`), x.set("bad", `{`), x.set("last", `"v"`))))
		a, b := open(t, tr, "a", log.to()), open(t, tr, "b")
		require.Equal(t, map[string]string{"good": "v", "last": "v"}, a.Snapshot())
		synctest.Wait()
		require.Equal(t, 1, log.count(nil))
		requireIdleTraffic(t, tr, a, b)
		require.NoError(t, a.Set(t.Context(), "bad", "mended"))
		synctest.Wait()
		requireHolds(t, b, "bad", "mended")
	})
}

// What one pod cannot read it must not throw away: another version of the program may.
func TestSnapshotKeepsWhatItsWriterCannotDecode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		x := newStranger("x")
		stored := x.snapshot(x.set("plain", `{"A":1}`), x.set("modern", `{"A":1,"B":2}`))
		require.NoError(t, net.Pod("x").Snapshot(t.Context(), topic, stored))

		type old struct{ A int }
		a := openOf(t, net.Pod("a"), "a", podshare.WithCodec[old](podshare.StrictJSONCodec{}))
		require.Equal(t, []string{"plain"}, a.Keys())
		require.NoError(t, a.Set(t.Context(), "new", old{A: 3}))
		require.NoError(t, a.Close())

		type modern struct{ A, B int }
		b := openOf[modern](t, net.Pod("b"), "b")
		requireHolds(t, b, "modern", modern{A: 1, B: 2})
		require.Len(t, b.Keys(), 3)
	})
}

// New that failed leaves nothing behind and may be tried again.
func TestNewMayBeRetriedAfterAFailure(t *testing.T) {
	refuse := errors.New("not now")
	for name, breaks := range map[string]func(tr *tap, calls *int){
		"first Subscribe": func(tr *tap, calls *int) { tr.onSubscribe = failing(tr, calls, 1, refuse) },
		"inbox Subscribe": func(tr *tap, calls *int) { tr.onSubscribe = failing(tr, calls, 2, refuse) },
		"FetchSnapshot": func(tr *tap, calls *int) {
			tr.onFetch = func(ctx context.Context, topic string) ([]byte, error) {
				if *calls++; *calls == 1 {
					return nil, refuse
				}
				return tr.Transport.FetchSnapshot(ctx, topic)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				memory := newMemory(t)
				tr, calls := &tap{Transport: memory}, 0
				breaks(tr, &calls)
				_, err := podshare.New[string](t.Context(), topic, tr, podshare.WithNodeID[string]("a"))
				require.ErrorIs(t, err, refuse)
				synctest.Wait()
				require.Zero(t, memory.Subscribers(topic))
				require.Zero(t, memory.Subscribers(topic+"@:a"), "inbox")

				s := open(t, tr, "a")
				require.NoError(t, s.Set(t.Context(), "k", "v"))
				require.Equal(t, 1, memory.Subscribers(topic))
			})
		})
	}
}

// failing subscribes but for the nth call, which returns err.
func failing(tr *tap, calls *int, nth int, err error) func(context.Context, string) (<-chan []byte, error) {
	return func(ctx context.Context, topic string) (<-chan []byte, error) {
		if *calls++; *calls == nth {
			return nil, err
		}
		return tr.Transport.Subscribe(ctx, topic)
	}
}

// ctx bounds the construction.
func TestNewReturnsWhenItsContextEnds(t *testing.T) {
	for name, sticks := range map[string]func(tr *tap){
		"Subscribe": func(tr *tap) {
			tr.onSubscribe = func(ctx context.Context, _ string) (<-chan []byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"FetchSnapshot": func(tr *tap) {
			tr.onFetch = func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				memory := newMemory(t)
				tr := &tap{Transport: memory}
				sticks(tr)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				returned := make(chan error, 1)
				go func() {
					_, err := podshare.New[string](ctx, topic, tr)
					returned <- err
				}()
				pass(time.Minute)
				select {
				case err := <-returned:
					require.Error(t, err)
				default:
					require.Fail(t, "New is still waiting")
				}
				require.Zero(t, memory.Subscribers(topic))
			})
		})
	}
}

// ctx bounds the construction only.
func TestStoreOutlivesTheContextOfNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		ctx, cancel := context.WithCancel(t.Context())
		a, err := podshare.New[string](ctx, topic, tr)
		require.NoError(t, err)
		defer a.Close()
		cancel()
		pass(time.Minute)
		b := open(t, tr, "b")
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		synctest.Wait()
		requireHolds(t, a, "k", "v")
	})
}

// A batch that a pod with narrower limits refuses is stored again as it was: it is not that pod's to drop.
func TestSnapshotCarriesARefusedBatchOver(t *testing.T) {
	type flag struct {
		On   bool
		Note string
	}
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := openOf[flag](t, tr, "a")
		batch := map[string]flag{"big": {true, strings.Repeat("x", 500)}, "small": {true, "s"}}
		require.NoError(t, a.SetMany(staying, batch))
		pass(5 * time.Second)
		require.NoError(t, a.Close())

		b := openOf(t, tr, "b", podshare.WithLimits[flag](podshare.Limits{ValueBytes: 100}))
		pass(5 * time.Second)
		require.NoError(t, b.Set(staying, "other", flag{On: true}))
		pass(5 * time.Second)
		require.NoError(t, b.Close())

		c := openOf[flag](t, tr, "c")
		batch["other"] = flag{On: true}
		require.Equal(t, batch, c.Snapshot())
	})
}
