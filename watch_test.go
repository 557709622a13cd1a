package podshare_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
)

// seen is the part of an event that most tests look at.
func seen(events []podshare.Event[string]) []string {
	var s []string
	for _, ev := range events {
		if ev.Kind == podshare.EventSet {
			s = append(s, ev.Key+"="+ev.Value)
		} else {
			s = append(s, fmt.Sprintf("%v %s%s", ev.Kind, ev.Key, ev.Value))
		}
	}
	return s
}

func TestWatcherHearsOfWritesFromEveryPod(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		events := a.Watch(t.Context())
		require.NoError(t, a.Set(t.Context(), "k", "1"))
		synctest.Wait()
		require.NoError(t, b.Set(t.Context(), "k", "2"))
		require.NoError(t, b.Delete(t.Context(), "k"))
		synctest.Wait()

		got, _ := drain(events)
		require.Equal(t, []string{"k=1", "k=2", "delete k"}, seen(got))
		require.Equal(t, []string{"a", "b", "b"}, []string{got[0].Origin, got[1].Origin, got[2].Origin})
		require.True(t, got[0].Timestamp.Before(got[1].Timestamp) && got[1].Timestamp.Before(got[2].Timestamp))
		require.Equal(t, b.Version("k").Timestamp.UnixNano(), got[2].Timestamp.UnixNano())
	})
}

// Several options narrow together.
func TestWatchOptionsNarrow(t *testing.T) {
	contains := func(s string) podshare.WatchOption {
		return podshare.WatchFilter(func(key string) bool { return strings.Contains(key, s) })
	}
	for name, tc := range map[string]struct {
		opts []podshare.WatchOption
		want []string
	}{
		"nothing said":                      {nil, []string{"a/1", "a/2", "b/1", "c"}},
		"nil options":                       {[]podshare.WatchOption{nil, podshare.WatchFilter(nil)}, []string{"a/1", "a/2", "b/1", "c"}},
		"key":                               {[]podshare.WatchOption{podshare.WatchKey("a/1")}, []string{"a/1"}},
		"same key twice":                    {[]podshare.WatchOption{podshare.WatchKey("c"), podshare.WatchKey("c")}, []string{"c"}},
		"two keys":                          {[]podshare.WatchOption{podshare.WatchKey("a/1"), podshare.WatchKey("c")}, nil},
		"prefix":                            {[]podshare.WatchOption{podshare.WatchPrefix("a/")}, []string{"a/1", "a/2"}},
		"empty prefix":                      {[]podshare.WatchOption{podshare.WatchPrefix("")}, []string{"a/1", "a/2", "b/1", "c"}},
		"nested prefixes, the longer first": {[]podshare.WatchOption{podshare.WatchPrefix("a/1"), podshare.WatchPrefix("a")}, []string{"a/1"}},
		"nested prefixes, the longer last":  {[]podshare.WatchOption{podshare.WatchPrefix("a"), podshare.WatchPrefix("a/1")}, []string{"a/1"}},
		"disjoint prefixes":                 {[]podshare.WatchOption{podshare.WatchPrefix("a/"), podshare.WatchPrefix("b/")}, nil},
		"a prefix longer than any key":      {[]podshare.WatchOption{podshare.WatchPrefix("a/1/2/3/4")}, nil},
		"filter":                            {[]podshare.WatchOption{contains("1")}, []string{"a/1", "b/1"}},
		"two filters":                       {[]podshare.WatchOption{contains("1"), contains("b")}, []string{"b/1"}},
		"key and its prefix":                {[]podshare.WatchOption{podshare.WatchPrefix("a"), podshare.WatchKey("a/2")}, []string{"a/2"}},
		"key and another prefix":            {[]podshare.WatchOption{podshare.WatchPrefix("b"), podshare.WatchKey("a/2")}, nil},
		"prefix and filter":                 {[]podshare.WatchOption{podshare.WatchPrefix("a/"), contains("2")}, []string{"a/2"}},
		"key, prefix and filter":            {[]podshare.WatchOption{podshare.WatchKey("a/2"), podshare.WatchPrefix("a/"), contains("2")}, []string{"a/2"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, newMemory(t), "a")
				events := s.Watch(t.Context(), tc.opts...)
				for _, key := range []string{"a/1", "a/2", "b/1", "c"} {
					require.NoError(t, s.Set(t.Context(), key, "v"))
				}
				synctest.Wait()
				got, _ := drain(events)
				var keys []string
				for _, ev := range got {
					keys = append(keys, ev.Key)
				}
				require.Equal(t, tc.want, keys)
			})
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to())
		ctx, cancel := context.WithCancel(t.Context())
		plain := s.Watch(ctx)
		filtered := s.Watch(ctx, podshare.WatchFilter(func(string) bool { return true }))
		require.Equal(t, 2, s.Stats().WatchersActive)
		require.NoError(t, s.Set(t.Context(), "k", "before"))
		cancel()
		synctest.Wait()
		require.NoError(t, s.Set(t.Context(), "k", "after"))

		for _, events := range []<-chan podshare.Event[string]{plain, filtered} {
			got, open := drain(events)
			require.Equal(t, []string{"k=before"}, seen(got))
			require.False(t, open)
		}
		_, open := drain(s.Watch(ctx))
		require.False(t, open, "a watcher of an ended ctx is closed from the start")
		require.Equal(t, 0, s.Stats().WatchersActive)
		require.Zero(t, log.count(nil), "to leave is no error")
	})
}

func TestWatchAfterCloseGivesClosedChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		require.NoError(t, s.Close())
		for _, opts := range [][]podshare.WatchOption{nil, {podshare.WatchKey("k")}, {podshare.WatchFilter(func(string) bool { return true })}} {
			got, open := drain(s.Watch(t.Context(), opts...))
			require.Empty(t, got)
			require.False(t, open)
		}
	})
}

// Close ends every watcher, and what was dispatched before can still be read.
func TestCloseClosesWatchersOfEveryKind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		var watches []<-chan podshare.Event[string]
		for range 3 {
			watches = append(watches, s.Watch(t.Context()), s.Watch(t.Context(), podshare.WatchKey("k")),
				s.Watch(t.Context(), podshare.WatchPrefix("k")), s.Watch(t.Context(), podshare.WatchPrefix("")),
				s.Watch(t.Context(), podshare.WatchFilter(func(string) bool { return true })))
		}
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		require.NoError(t, s.Close())
		synctest.Wait() // Close does not wait for a filter that is running
		for _, events := range watches {
			got, open := drain(events)
			require.Equal(t, []string{"k=v"}, seen(got))
			require.False(t, open)
		}
		require.Equal(t, 0, s.Stats().WatchersActive)
	})
}

// G6: losing events is never silent.
func TestLaggingWatcherIsClosedAndReported(t *testing.T) {
	for name, opts := range map[string][]podshare.WatchOption{
		"all":    nil,
		"key":    {podshare.WatchKey("k")},
		"prefix": {podshare.WatchPrefix("k")},
		"filter": {podshare.WatchFilter(func(string) bool { return true })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				s := open(t, newMemory(t), "a", log.to(), podshare.WithWatchBuffer[string](2))
				lagging, other := s.Watch(t.Context(), opts...), s.Watch(t.Context())
				var heard []podshare.Event[string]
				for i := range 10 {
					require.NoError(t, s.Set(t.Context(), "k", fmt.Sprint(i)))
					synctest.Wait()
					got, _ := drain(other)
					heard = append(heard, got...)
				}
				got, open := drain(lagging)
				require.Equal(t, []string{"k=0", "k=1"}, seen(got), "events before the first that was lost")
				require.False(t, open)
				require.Equal(t, 1, log.count(podshare.ErrWatcherLagged))
				require.Equal(t, uint64(1), s.Stats().WatchersDropped)
				require.Equal(t, 1, s.Stats().WatchersActive)
				require.Len(t, heard, 10, "a watcher that reads is not touched")
			})
		})
	}
}

// Events of a batch come when all of it is there to be read, on this pod and on others.
func TestEventsOfBatchFollowTheWholeBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a, b := open(t, tr, "a"), open(t, tr, "b")
		var watchers sync.WaitGroup
		for _, s := range []*podshare.Store[string]{a, b} {
			events := s.Watch(t.Context())
			watchers.Go(func() {
				for range 100 {
					<-events
					if n := len(s.Snapshot()); n != 100 {
						t.Errorf("event while only %d of 100 keys were there", n)
					}
				}
			})
		}
		require.NoError(t, a.SetMany(t.Context(), numbered(100, "v")))
		watchers.Wait()
	})
}

// What comes by repair or from a snapshot is told like any other change, once.
func TestWatcherHearsOfRepairedWritesOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := open(t, net.Pod("a"), "a"), open(t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "old", "v"))
		pass(threeHeartbeats)
		events := b.Watch(t.Context())
		net.Cut("b")
		require.NoError(t, a.Set(t.Context(), "new", "v"))
		require.NoError(t, a.Delete(t.Context(), "old"))
		pass(threeHeartbeats)
		net.Heal()
		pass(2 * healing)
		got, _ := drain(events)
		require.ElementsMatch(t, []string{"new=v", "delete old"}, seen(got))
	})
}

// A write that loses to a newer one is not told.
func TestWatcherHearsNothingOfOlderWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		s := open(t, tr, "a")
		x := newStranger("x")
		older := x.set("k", `"older"`)
		pass(1)
		require.NoError(t, s.Set(t.Context(), "k", "newer"))
		events := s.Watch(t.Context())
		publish(t, tr, x.data(older))
		publish(t, tr, x.data(older))
		synctest.Wait()
		got, _ := drain(events)
		require.Empty(t, got)
		requireHolds(t, s, "k", "newer")
		require.Equal(t, uint64(1), s.Stats().WritesRejected)
		require.NotEmpty(t, tr.sent(t, wire.KindData))
	})
}

// A filter that panics costs its watcher, not the process.
func TestPanickingFilterCostsItsWatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to())
		broken := s.Watch(t.Context(), podshare.WatchFilter(func(key string) bool {
			if key == "bad" {
				panic("no")
			}
			return true
		}))
		healthy := s.Watch(t.Context())
		for _, key := range []string{"good", "bad", "later"} {
			require.NoError(t, s.Set(t.Context(), key, "v"))
		}
		synctest.Wait()
		got, open := drain(broken)
		require.Equal(t, []string{"good=v"}, seen(got))
		require.False(t, open)
		require.Equal(t, 1, log.count(podshare.ErrPanic))
		require.Equal(t, "bad", log.keyOf(podshare.ErrPanic))
		got, _ = drain(healthy)
		require.Len(t, got, 3)
	})
}

// Filters may call the Store.
func TestFilterMayCallTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.Synced(t.Context())) // so that Refresh has nobody to wait for
		var errs []error
		events := s.Watch(t.Context(), podshare.WatchFilter(func(key string) bool {
			if key != "k" {
				return true
			}
			_, ok := s.Get(key)
			_ = s.Keys()
			_ = s.Version(key)
			_ = s.Stats()
			errs = append(errs, s.Set(staying, "set", "v"), s.SetMany(staying, numbered(3, "v")),
				s.Delete(staying, "set"), s.Refresh(staying))
			return ok
		}))
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		synctest.Wait()
		got, open := drain(events)
		require.True(t, open)
		require.Len(t, got, 6)
		require.Equal(t, []error{nil, nil, nil, nil}, errs)
	})
}

// Watchers are limited.
func TestWatchersBeyondTheLimitAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to(), podshare.WithLimits[string](podshare.Limits{Watchers: 1}))
		ctx, cancel := context.WithCancel(t.Context())
		_, open := drain(s.Watch(ctx))
		require.True(t, open)
		_, open = drain(s.Watch(ctx))
		require.False(t, open)
		synctest.Wait()
		require.Equal(t, 1, log.count(podshare.ErrTooMany))
		cancel()
		synctest.Wait()
		_, open = drain(s.Watch(t.Context()))
		require.True(t, open, "the place of one that left is free again")
	})
}

func TestEventKindsHaveNames(t *testing.T) {
	for kind, name := range map[podshare.EventKind]string{
		podshare.EventSet: "set", podshare.EventDelete: "delete", 77: "unknown", -1: "unknown",
	} {
		require.Equal(t, name, kind.String())
	}
	require.Equal(t, podshare.EventSet, podshare.EventKind(0))
	require.Equal(t, podshare.EventDelete, podshare.EventKind(1))
}
