package podshare_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// follower rebuilds a store from what a watcher is told, and checks G6 on the way.
type follower struct {
	holds  map[string]string
	stamps map[string]time.Time
	synced bool
	events int
}

func newFollower() *follower {
	return &follower{holds: map[string]string{}, stamps: map[string]time.Time{}}
}

func (f *follower) take(t testing.TB, ev podshare.Event[string]) {
	t.Helper()
	f.events++
	if ev.Kind == podshare.EventSynced {
		require.False(t, f.synced, "synced twice")
		f.synced = true
		return
	}
	require.False(t, ev.Timestamp.Before(f.stamps[ev.Key]), "versions of %q fall", ev.Key)
	if ev.Kind == podshare.EventSet {
		require.False(t, ev.Timestamp.Equal(f.stamps[ev.Key]), "a version of %q comes twice", ev.Key)
		f.holds[ev.Key] = ev.Value
	} else {
		delete(f.holds, ev.Key)
	}
	f.stamps[ev.Key] = ev.Timestamp
}

func (f *follower) takeAll(t testing.TB, events <-chan podshare.Event[string]) (open bool) {
	t.Helper()
	for {
		synctest.Wait()
		got, open := drain(events)
		for _, ev := range got {
			f.take(t, ev)
		}
		if len(got) == 0 {
			return open
		}
	}
}

func TestWatchInitialTellsContentsThenSyncedThenChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"k": "1", "l": "2", "gone": "3"}))
		version := s.Version("l").Timestamp
		require.NoError(t, s.Delete(t.Context(), "gone"))
		events := s.Watch(t.Context(), podshare.WatchInitial())
		synctest.Wait()
		require.NoError(t, s.Set(t.Context(), "k", "4"))
		synctest.Wait()
		got, open := drain(events)
		require.True(t, open)
		require.Len(t, got, 4)
		require.ElementsMatch(t, []string{"k=1", "l=2"}, seen(got[:2]))
		require.Equal(t, []string{"synced ", "k=4"}, seen(got[2:]))
		require.Equal(t, "a", got[0].Origin)
		for _, ev := range got[:2] {
			if ev.Key == "l" {
				require.True(t, version.Equal(ev.Timestamp))
			}
		}
	})
}

func TestWatchInitialOfAnEmptyStoreTellsSyncedOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		events := s.Watch(t.Context(), podshare.WatchInitial())
		synctest.Wait()
		got, _ := drain(events)
		require.Equal(t, []string{"synced "}, seen(got))
	})
}

// What narrows a watcher narrows the contents that it begins with.
func TestWatchInitialTellsWhatItsOptionsWant(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  podshare.WatchOption
		want []string
	}{
		"key":         {podshare.WatchKey("a/1"), []string{"a/1=v", "synced "}},
		"missing key": {podshare.WatchKey("z"), []string{"synced "}},
		"keys":        {podshare.WatchKeys("b", "a/2", "b", "z"), []string{"a/2=v", "b=v", "synced "}},
		"prefix":      {podshare.WatchPrefix("b"), []string{"b=v", "synced "}},
		"filter":      {podshare.WatchFilter(func(key string) bool { return key == "b" }), []string{"b=v", "synced "}},
		"nothing":     {podshare.WatchPrefix("z"), []string{"synced "}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, newMemory(t), "a")
				require.NoError(t, s.SetMany(t.Context(), map[string]string{"a/1": "v", "a/2": "v", "b": "v"}))
				for _, more := range []podshare.WatchOption{nil, podshare.WatchConflate()} {
					events := s.Watch(t.Context(), podshare.WatchInitial(), tc.opt, more)
					synctest.Wait()
					got, _ := drain(events)
					require.Equal(t, tc.want, seen(got))
				}
			})
		})
	}
}

// No gap, no overlap, no silent loss: 100,000 keys are handed to a slow reader while writers go on.
func TestWatchInitialKeepsUpWithWritersWhateverTheReadersPace(t *testing.T) {
	const keys = 100_000
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		s, other := open(t, tr, "a", log.to()), open(t, tr, "b")
		require.NoError(t, s.SetMany(t.Context(), numbered(keys, "first")))
		events := s.Watch(t.Context(), podshare.WatchInitial())
		f := newFollower()
		for i := range 200 {
			for range keys / 200 {
				f.take(t, <-events) // at the reader's pace
			}
			for j := range 20 {
				key := fmt.Sprintf("key %05d", (i*7919+j*104_729)%keys)
				switch j % 4 {
				case 0:
					require.NoError(t, s.Delete(t.Context(), key))
				case 1:
					require.NoError(t, other.Set(t.Context(), key, fmt.Sprint(i)))
				default:
					require.NoError(t, s.Set(t.Context(), key, fmt.Sprint(i)))
				}
			}
			require.NoError(t, s.Set(t.Context(), fmt.Sprint("new ", i), "v"))
			require.NoError(t, s.Set(t.Context(), "hot", fmt.Sprint(i)))
		}
		synctest.Wait()
		require.True(t, f.takeAll(t, events))
		require.True(t, f.synced)
		require.Equal(t, s.Snapshot(), f.holds)
		require.Zero(t, log.count(nil))

		// From here on it is a watcher like others.
		require.NoError(t, s.Set(t.Context(), "hot", "x"))
		require.NoError(t, s.Set(t.Context(), "hot", "y"))
		synctest.Wait()
		got, _ := drain(events)
		require.Equal(t, []string{"hot=x", "hot=y"}, seen(got))
	})
}

// Once the reader has caught up, a watcher that does not conflate is closed when it falls behind, and that is reported.
func TestWatchInitialLagsLikeOthersOnceItHasCaughtUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to(), podshare.WithWatchBuffer[string](4))
		events := s.Watch(t.Context(), podshare.WatchInitial())
		synctest.Wait()
		require.Len(t, seen(first(drain(events))), 1)
		for i := range 20 {
			require.NoError(t, s.Set(t.Context(), fmt.Sprint(i), "v"))
		}
		synctest.Wait()
		_, open := drain(events)
		require.False(t, open)
		require.Equal(t, 1, log.count(podshare.ErrWatcherLagged))
	})
}

func first[A, B any](a A, _ B) A { return a }

func TestConflatingWatcherGetsTheLatestOfEachKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to(), podshare.WithWatchBuffer[string](2))
		events := s.Watch(t.Context(), podshare.WatchConflate())
		for i := range 1000 {
			require.NoError(t, s.Set(t.Context(), fmt.Sprint("key ", i%10), fmt.Sprint(i)))
			synctest.Wait()
		}
		require.NoError(t, s.Delete(t.Context(), "key 3"))
		f := newFollower()
		require.True(t, f.takeAll(t, events))
		want := s.Snapshot()
		require.Equal(t, want, f.holds)
		require.Less(t, f.events, 20, "what waits is bounded by the number of keys")
		require.Zero(t, log.count(nil))
	})
}

// A conflating watcher is told the last event of every key, whoever writes, and however fast.
func TestConflatingWatcherEndsWithTheState(t *testing.T) {
	tr := newMemory(t)
	s := open(t, tr, "a", podshare.WithWatchBuffer[string](1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := s.Watch(ctx, podshare.WatchInitial(), podshare.WatchConflate())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				key := fmt.Sprint("key ", i%7)
				if (i+w)%5 == 0 {
					_ = s.Delete(staying, key)
				} else {
					_ = s.Set(staying, key, fmt.Sprint(w, "/", i))
				}
			}
			_ = s.Set(staying, fmt.Sprint("last of ", w), "v")
		})
	}
	f := newFollower()
	ended := 0
	for ended < 4 {
		ev := <-events
		f.take(t, ev)
		if ev.Value == "v" {
			ended++
		}
	}
	writers.Wait()
	for !maps.Equal(f.holds, s.Snapshot()) {
		f.take(t, <-events) // else it is not told, and the test times out
	}
}

// Close does not lose what a queue still holds, as far as the reader's buffer has room.
func TestCloseFlushesQueuesOfWatchers(t *testing.T) {
	for name, opt := range map[string]podshare.WatchOption{
		"initial": podshare.WatchInitial(), "conflate": podshare.WatchConflate(),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, newMemory(t), "a")
				events := s.Watch(t.Context(), opt)
				require.NoError(t, s.Set(t.Context(), "k", "v"))
				require.NoError(t, s.Close())
				f := newFollower()
				require.False(t, f.takeAll(t, events))
				require.Equal(t, map[string]string{"k": "v"}, f.holds)
			})
		})
	}
}

// A reader that walks away from a watcher that waits for it holds nothing up: neither writers nor Close.
func TestWatcherWhoseReaderLeftEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithWatchBuffer[string](1))
		require.NoError(t, s.SetMany(t.Context(), numbered(100, "v")))
		ctx, cancel := context.WithCancel(t.Context())
		for _, opts := range [][]podshare.WatchOption{
			{podshare.WatchInitial()},
			{podshare.WatchConflate()},
			{podshare.WatchInitial(), podshare.WatchConflate(), podshare.WatchFilter(func(string) bool { return true })},
		} {
			s.Watch(ctx, opts...)
		}
		require.NoError(t, s.SetMany(t.Context(), numbered(100, "w")))
		synctest.Wait()
		require.Equal(t, 3, s.Stats().WatchersActive)
		cancel()
		synctest.Wait()
		require.Zero(t, s.Stats().WatchersActive)
		s.Watch(t.Context(), podshare.WatchInitial())
		require.NoError(t, s.Close()) // goleak has the last word
	})
}

// A filter that panics costs its watcher, also while the contents are told.
func TestPanickingFilterCostsAWatcherWithAQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		s := open(t, newMemory(t), "a", log.to())
		require.NoError(t, s.Set(t.Context(), "bad", "v"))
		bad := podshare.WatchFilter(func(key string) bool { panic("no " + key) })
		for _, opts := range [][]podshare.WatchOption{{podshare.WatchInitial(), bad}, {podshare.WatchConflate(), bad}} {
			events := s.Watch(t.Context(), opts...)
			require.NoError(t, s.Set(t.Context(), "bad", "w"))
			synctest.Wait()
			_, open := drain(events)
			require.False(t, open)
		}
		require.Equal(t, "bad", log.keyOf(nil))
		require.Zero(t, s.Stats().WatchersActive)
		require.EqualValues(t, 2, s.Stats().WatchersDropped)
	})
}

// What waits behind the key whose filter panicked is not told: the reader would not know of the gap.
func TestNothingIsToldAfterAFilterPanicked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		goOn := make(chan struct{})
		events := s.Watch(t.Context(), podshare.WatchConflate(), podshare.WatchFilter(func(key string) bool {
			<-goOn
			if key == "bad" {
				panic("no " + key)
			}
			return true
		}))
		for _, key := range []string{"before", "bad", "after"} {
			require.NoError(t, s.Set(t.Context(), key, "v"))
		}
		close(goOn)
		synctest.Wait()
		got, open := drain(events)
		require.False(t, open)
		require.Len(t, got, 1)
		require.Equal(t, "before", got[0].Key)
	})
}

func TestWatchKeysHearsOfTheseOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		both := s.Watch(t.Context(), podshare.WatchKeys("k", "l", "k"))
		one := s.Watch(t.Context(), podshare.WatchKeys("k", "l"), podshare.WatchKeys("m", "l"))
		none := s.Watch(t.Context(), podshare.WatchKeys())
		other := s.Watch(t.Context(), podshare.WatchKeys("m", "k"))
		for _, key := range []string{"k", "l", "m"} {
			require.NoError(t, s.Set(t.Context(), key, "v"))
		}
		synctest.Wait()
		require.Equal(t, []string{"k=v", "l=v"}, seen(first(drain(both))))
		require.Equal(t, []string{"l=v"}, seen(first(drain(one))))
		require.Equal(t, []string{"k=v", "m=v"}, seen(first(drain(other))))
		_, open := drain(none)
		require.False(t, open, "no key at all")
	})
}

// Watchers of several keys come and go in any order.
func TestWatchersOfManyKeysComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		var cancels []context.CancelFunc
		for i := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			s.Watch(ctx, podshare.WatchKeys(fmt.Sprint(i%3), fmt.Sprint(i%5), fmt.Sprint(i%7)))
		}
		for i := range cancels {
			cancels[i*17%50]()
			synctest.Wait()
			require.Equal(t, 49-i, s.Stats().WatchersActive)
			require.NoError(t, s.Set(t.Context(), fmt.Sprint(i%7), "v"))
		}
	})
}

// An option may be used for several watchers.
func TestWatchOptionsMayBeUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		both := podshare.WatchKeys("a", "b")
		narrow := s.Watch(t.Context(), podshare.WatchKey("a"), both)
		wide := s.Watch(t.Context(), both)
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"a": "v", "b": "v"}))
		synctest.Wait()
		require.Equal(t, []string{"a=v"}, seen(first(drain(narrow))))
		require.Equal(t, []string{"a=v", "b=v"}, seen(first(drain(wide))))
	})
}

// A reader that has not taken the contents yet is not closed for a few changes.
func TestWatchInitialGivesASlowReaderAWholeBuffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithWatchBuffer[string](4))
		require.NoError(t, s.SetMany(t.Context(), numbered(10, "v")))
		events := s.Watch(t.Context(), podshare.WatchInitial())
		f := newFollower()
		for range 7 {
			f.take(t, <-events)
		}
		synctest.Wait()
		for i := range 4 {
			require.NoError(t, s.Set(t.Context(), fmt.Sprint("late ", i), "v"))
			synctest.Wait()
		}
		require.True(t, f.takeAll(t, events))
		require.Equal(t, s.Snapshot(), f.holds)
	})
}

// Of keys that come and go while the reader is stalled nothing waits.
func TestQueueOfAStalledReaderIsBoundedByTheKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithWatchBuffer[string](2))
		events := s.Watch(t.Context(), podshare.WatchConflate())
		for i := range 5000 {
			key := fmt.Sprint("session ", i)
			require.NoError(t, s.Set(t.Context(), key, "v"))
			require.NoError(t, s.Delete(t.Context(), key))
		}
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		f := newFollower()
		require.True(t, f.takeAll(t, events))
		require.Equal(t, map[string]string{"k": "v"}, f.holds)
		require.Less(t, f.events, 20)
	})
}

// A filter that ends its goroutine ends its watcher, and leaves nothing of it.
func TestFilterThatEndsItsGoroutineEndsItsWatcher(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		leave := podshare.WatchFilter(func(string) bool { runtime.Goexit(); return true })
		for _, opt := range []podshare.WatchOption{nil, podshare.WatchConflate(), podshare.WatchInitial()} {
			events := s.Watch(t.Context(), opt, leave)
			require.NoError(t, s.Set(t.Context(), "k", "v"))
			synctest.Wait()
			_, open := drain(events)
			require.False(t, open)
			require.Zero(t, s.Stats().WatchersActive)
		}
	})
}

// Once a watcher is closed its filter is not asked about the rest of the contents.
func TestFilterIsNotAskedOnceTheWatcherIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a")
		require.NoError(t, s.SetMany(t.Context(), numbered(1000, "v")))
		ctx, cancel := context.WithCancel(t.Context())
		asked, goOn := 0, make(chan struct{})
		events := s.Watch(ctx, podshare.WatchInitial(), podshare.WatchFilter(func(string) bool {
			asked++
			<-goOn
			return false
		}))
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		_, open := drain(events)
		require.False(t, open)
		require.Equal(t, 1, asked)
	})
}
