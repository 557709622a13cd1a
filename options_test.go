package podshare_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
)

// New refuses what makes no sense, and says what.
func TestNewValidatesEverything(t *testing.T) {
	type option = podshare.Option[string]
	for name, tc := range map[string]struct {
		opt     option
		mention string // of what is wrong; "": nothing is
	}{
		"nil option":                     {nil, "option"},
		"nil clock":                      {podshare.WithClock[string](nil), "clock"},
		"nil codec":                      {podshare.WithCodec[string](nil), "codec"},
		"nil error handler":              {podshare.WithErrorHandler[string](nil), "error handler"},
		"nil merger":                     {podshare.WithMerger[string](nil), "merger"},
		"nil logger":                     {podshare.WithLogger[string](nil), ""},
		"empty node ID":                  {podshare.WithNodeID[string](""), "node ID"},
		"longest node ID":                {podshare.WithNodeID[string](strings.Repeat("n", 255)), ""},
		"too long a node ID":             {podshare.WithNodeID[string](strings.Repeat("n", 256)), "node ID"},
		"negative GC interval":           {podshare.WithGCInterval[string](-1), "GC interval"},
		"zero GC interval":               {podshare.WithGCInterval[string](0), ""},
		"negative clock skew":            {podshare.WithMaxClockSkew[string](-1), "clock skew"},
		"zero clock skew":                {podshare.WithMaxClockSkew[string](0), ""},
		"negative snapshot interval":     {podshare.WithSnapshotInterval[string](-1), "snapshot interval"},
		"zero snapshot interval":         {podshare.WithSnapshotInterval[string](0), ""},
		"negative tombstone TTL":         {podshare.WithTombstoneTTL[string](-1), "tombstone TTL"},
		"zero tombstone TTL":             {podshare.WithTombstoneTTL[string](0), ""},
		"negative watch buffer":          {podshare.WithWatchBuffer[string](-1), "watch buffer"},
		"zero watch buffer":              {podshare.WithWatchBuffer[string](0), ""},
		"zero limits":                    {podshare.WithLimits[string](podshare.Limits{}), ""},
		"negative limit: KeyBytes":       {podshare.WithLimits[string](podshare.Limits{KeyBytes: -1}), "KeyBytes"},
		"negative limit: ValueBytes":     {podshare.WithLimits[string](podshare.Limits{ValueBytes: -1}), "ValueBytes"},
		"negative limit: FrameBytes":     {podshare.WithLimits[string](podshare.Limits{FrameBytes: -1}), "FrameBytes"},
		"negative limit: BatchKeys":      {podshare.WithLimits[string](podshare.Limits{BatchKeys: -1}), "BatchKeys"},
		"negative limit: Keys":           {podshare.WithLimits[string](podshare.Limits{Keys: -1}), "Keys"},
		"negative limit: Watchers":       {podshare.WithLimits[string](podshare.Limits{Watchers: -1}), "Watchers"},
		"negative limit: Tombstones":     {podshare.WithLimits[string](podshare.Limits{Tombstones: -1}), "Tombstones"},
		"negative limit: Origins":        {podshare.WithLimits[string](podshare.Limits{Origins: -1}), "Origins"},
		"negative limit: Pending":        {podshare.WithLimits[string](podshare.Limits{Pending: -1}), "Pending"},
		"value without room in a frame":  {podshare.WithLimits[string](podshare.Limits{ValueBytes: 16 << 20}), "FrameBytes"},
		"frame without room for a value": {podshare.WithLimits[string](podshare.Limits{FrameBytes: 1 << 20}), "FrameBytes"},
		"largest numbers":                {podshare.WithLimits[string](podshare.Limits{KeyBytes: 1<<63 - 1, ValueBytes: 1<<63 - 1}), "FrameBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := newMemory(t)
				s, err := podshare.New(t.Context(), topic, tr, tc.opt)
				if err == nil {
					defer s.Close()
				}
				if tc.mention != "" {
					require.ErrorContains(t, err, tc.mention)
					require.Nil(t, s)
					require.Zero(t, tr.Subscribers(topic))
					return
				}
				require.NoError(t, err)
			})
		})
	}
}

func TestNewRefusesNilTransportAndEmptyTopic(t *testing.T) {
	_, err := podshare.New[string](t.Context(), topic, nil)
	require.ErrorContains(t, err, "transport")
	_, err = podshare.New[string](t.Context(), "", newMemory(t))
	require.ErrorContains(t, err, "topic")
}

// Options are applied in order; of two that set the same, the later one counts.
func TestLaterOptionCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		require.Equal(t, "second", open(t, newMemory(t), "first", podshare.WithNodeID[string]("second")).NodeID())
	})
}

// Zero means the default: 256 events, 24 hours.
func TestZeroMeansTheDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithWatchBuffer[string](0), podshare.WithTombstoneTTL[string](0),
			podshare.WithSnapshotInterval[string](0), podshare.WithLimits[string](podshare.Limits{}))
		require.Equal(t, 256, cap(s.Watch(t.Context())))
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		require.NoError(t, s.Delete(t.Context(), "k"))
		pass(time.Second)
		require.Equal(t, uint64(1), s.Stats().Snapshots)
		pass(23 * time.Hour)
		require.Equal(t, 1, s.Stats().Tombstones)
		pass(2 * time.Hour)
		require.Zero(t, s.Stats().Tombstones)
	})
}

// A GC interval of zero means: only on writes.
func TestZeroGCIntervalCollectsOnWritesOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithGCInterval[string](0), podshare.WithTombstoneTTL[string](time.Minute))
		require.NoError(t, s.Set(t.Context(), "k", "v"))
		require.NoError(t, s.Delete(t.Context(), "k"))
		pass(time.Hour)
		require.Equal(t, 1, s.Stats().Tombstones)
		require.NoError(t, s.Set(t.Context(), "other", "v"))
		pass(threeHeartbeats)
		require.Zero(t, s.Stats().Tombstones)
	})
}

// Also then a batch is one step: what it deletes beyond the limit of tombstones is forgotten when it is complete, and
// what is counted is what is held.
func TestBatchBeyondTheTombstoneLimitCollectsWhenItIsComplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		few := podshare.WithLimits[string](podshare.Limits{Tombstones: 2})
		a := open(t, tr, "a", podshare.WithGCInterval[string](0), few)
		b := open(t, tr, "b", podshare.WithGCInterval[string](0), few)
		values := numbered(5, "v")
		require.NoError(t, a.SetMany(t.Context(), values))
		synctest.Wait()
		require.NoError(t, a.DeleteMany(t.Context(), slices.Collect(maps.Keys(values))))
		synctest.Wait()
		for _, s := range []*podshare.Store[string]{a, b} {
			held := 0
			for key := range values {
				if s.Version(key) != (podshare.Version{}) {
					held++
				}
			}
			require.Equal(t, 2, held, "tombstones that %s holds", s.NodeID())
			require.Equal(t, 2, s.Stats().Tombstones, "tombstones that %s counts", s.NodeID())
		}
	})
}

// Errors are logged as warnings that say which store they come from.
func TestLoggerGetsWarnings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out bytes.Buffer
		tr := newMemory(t)
		s := open(t, tr, "pod 7", podshare.WithLogger[string](slog.New(slog.NewTextHandler(&out, nil))))
		publish(t, tr, []byte("garbage"))
		synctest.Wait()
		require.NoError(t, s.Close())
		require.Contains(t, out.String(), "level=WARN")
		require.Contains(t, out.String(), topic)
		require.Contains(t, out.String(), "pod 7")
		require.Contains(t, out.String(), "bad frame")
	})
}

// Every limit is enforced with an error that names it, and nothing is applied.
func TestLimitsAreEnforcedOnCallers(t *testing.T) {
	limits := podshare.Limits{KeyBytes: 10, ValueBytes: 100, FrameBytes: 8 << 10, BatchKeys: 5, Keys: 6}
	long, large := strings.Repeat("k", 11), strings.Repeat("v", 99) // 101 bytes as JSON
	for name, tc := range map[string]struct {
		call func(ctx context.Context, s *podshare.Store[string]) error
		want error // nil: within the limits
	}{
		"longest key": {func(ctx context.Context, s *podshare.Store[string]) error { return s.Set(ctx, long[1:], "v") }, nil},
		"key of Set":  {func(ctx context.Context, s *podshare.Store[string]) error { return s.Set(ctx, long, "v") }, podshare.ErrTooLarge},
		"key of Delete": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.Delete(ctx, long)
		}, podshare.ErrTooLarge},
		"key of TrySet": {func(ctx context.Context, s *podshare.Store[string]) error {
			return second(s.TrySet(ctx, long, "v", podshare.Version{}))
		}, podshare.ErrTooLarge},
		"key of a batch": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.SetMany(ctx, map[string]string{"k": "v", long: "v"})
		}, podshare.ErrTooLarge},
		"key of a batch of deletes": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.DeleteMany(ctx, []string{"0", long})
		}, podshare.ErrTooLarge},
		"largest value": {func(ctx context.Context, s *podshare.Store[string]) error { return s.Set(ctx, "k", large[1:]) }, nil},
		"value of Set":  {func(ctx context.Context, s *podshare.Store[string]) error { return s.Set(ctx, "k", large) }, podshare.ErrTooLarge},
		"value of TrySet": {func(ctx context.Context, s *podshare.Store[string]) error {
			return second(s.TrySet(ctx, "k", large, podshare.Version{}))
		}, podshare.ErrTooLarge},
		"value of a batch": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.SetMany(ctx, map[string]string{"j": "v", "k": large})
		}, podshare.ErrTooLarge},
		"keys of a batch": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.SetMany(ctx, numbered(6, "v"))
		}, podshare.ErrTooMany},
		"keys of a batch of deletes": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.DeleteMany(ctx, []string{"0", "1", "2", "3", "4", "5"})
		}, podshare.ErrTooMany},
		"keys held, by a batch": {func(ctx context.Context, s *podshare.Store[string]) error {
			return s.SetMany(ctx, map[string]string{"5": "v", "6": "v"})
		}, podshare.ErrTooMany},
		"last key": {func(ctx context.Context, s *podshare.Store[string]) error { return s.Set(ctx, "5", "v") }, nil},
		"keys held, by Set": {func(ctx context.Context, s *podshare.Store[string]) error {
			if err := s.Set(ctx, "5", "v"); err != nil {
				return err
			}
			defer func() { _ = s.Delete(ctx, "5") }()
			return s.Set(ctx, "6", "v")
		}, podshare.ErrTooMany},
		"keys held, by TrySet": {func(ctx context.Context, s *podshare.Store[string]) error {
			if err := s.Set(ctx, "5", "v"); err != nil {
				return err
			}
			defer func() { _ = s.Delete(ctx, "5") }()
			return second(s.TrySet(ctx, "6", "v", podshare.Version{}))
		}, podshare.ErrTooMany},
		"key that is held when all are": {func(ctx context.Context, s *podshare.Store[string]) error {
			if err := s.Set(ctx, "5", "v"); err != nil {
				return err
			}
			return s.SetMany(ctx, map[string]string{"0": "w", "1": "w"})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := open(t, newMemory(t), "a", podshare.WithLimits[string](limits))
				require.NoError(t, s.SetMany(t.Context(), map[string]string{"0": "v", "1": "v", "2": "v", "3": "v", "4": "v"}))
				before := s.Snapshot()
				err := tc.call(t.Context(), s)
				if tc.want == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, tc.want)
				require.NotErrorIs(t, err, podshare.ErrBroadcast)
				require.Contains(t, err.Error(), "limit")
				require.Equal(t, before, s.Snapshot())
			})
		})
	}
}

// A batch is one frame, or is refused whole.
func TestBatchBeyondTheFrameLimitIsRefusedWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithLimits[string](podshare.Limits{ValueBytes: 64 << 10, FrameBytes: 128 << 10}))
		big := strings.Repeat("v", 60<<10)
		require.NoError(t, s.SetMany(t.Context(), map[string]string{"a": big}))
		err := s.SetMany(t.Context(), map[string]string{"a": big, "b": big, "c": big})
		require.ErrorIs(t, err, podshare.ErrTooLarge)
		require.Equal(t, []string{"a"}, s.Keys())
	})
}

// Writers that fill a frame between them never make one that a peer refuses.
func TestFramesOfManyWritersStayWithinTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		limits := podshare.WithLimits[string](podshare.Limits{ValueBytes: 64 << 10, FrameBytes: 128 << 10})
		var log errorLog
		tr, gate := gated(newMemory(t))
		a := open(t, tr, "a", limits)
		b := open(t, tr.Transport, "b", limits, log.to())
		pass(threeHeartbeats)
		gate.shut()
		var writers sync.WaitGroup
		for i := range 20 {
			writers.Go(func() {
				if err := a.Set(t.Context(), fmt.Sprint(i), incompressible(60<<10)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		gate.open()
		writers.Wait()
		pass(exchange)
		require.Len(t, b.Keys(), 20)
		require.Zero(t, log.count(nil))
	})
}

// What waits to be sent is bounded: above that writes are left to repair, and their callers told.
func TestWritesBeyondThePendingLimitAreLeftToRepair(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr, gate := gated(newMemory(t))
		a := open(t, tr, "a", podshare.WithLimits[string](podshare.Limits{Pending: 1 << 20}))
		b := open(t, tr.Transport, "b")
		pass(threeHeartbeats)
		gate.shut()
		var writers sync.WaitGroup
		var errs errorLog
		for i := range 10 {
			writers.Go(func() {
				if err := a.Set(t.Context(), fmt.Sprint(i), strings.Repeat("v", 300<<10)); err != nil {
					errs.add(err)
				}
			})
			synctest.Wait()
		}
		require.GreaterOrEqual(t, errs.count(podshare.ErrBroadcast), 5)
		require.Equal(t, errs.count(nil), errs.count(podshare.ErrTooMany), "the error names the limit")
		require.Len(t, a.Keys(), 10)
		gate.open()
		writers.Wait()
		pass(healing)
		require.Len(t, b.Keys(), 10)
	})
}

// Above the limit of tombstones the oldest are forgotten early.
func TestTombstonesBeyondTheLimitAreForgottenOldestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithLimits[string](podshare.Limits{Tombstones: 10}))
		for i := range 20 {
			require.NoError(t, s.Set(t.Context(), fmt.Sprint(i), "v"))
		}
		for i := range 20 {
			require.NoError(t, s.Delete(t.Context(), fmt.Sprint(i)))
			pass(time.Millisecond)
		}
		pass(6 * time.Minute)
		require.Equal(t, 10, s.Stats().Tombstones)
		require.Zero(t, s.Version("0"))
		require.NotZero(t, s.Version("19"))
	})
}

// Origins are not forgotten before they had the time to be heard, nor while they are young; and one that is heard after
// all is remembered.
func TestOriginsAreForgottenLateAndRememberedWhenHeard(t *testing.T) {
	const ttl = time.Minute
	for name, tc := range map[string]struct {
		store, strangers time.Duration // how long they run when the writes come
	}{
		"the store is young":      {0, time.Hour},
		"the strangers are young": {2 * ttl, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				tr := newMemory(t)
				s := open(t, tr, "a", log.to(), podshare.WithLimits[string](podshare.Limits{Origins: 3}),
					podshare.WithTombstoneTTL[string](ttl))
				pass(tc.store)
				var xs []*stranger
				for i := range 6 {
					x := newStranger(fmt.Sprint("x", i))
					x.boot -= uint64(tc.strangers) + uint64(6-i)
					publish(t, tr, x.data(x.set("changing", fmt.Sprint(`"`, i, `"`))))
					pass(time.Millisecond)
					xs = append(xs, x)
				}
				pass(ttl - time.Second)
				require.Zero(t, log.count(podshare.ErrTooMany), "forgotten early")
				pass(time.Minute)
				require.Positive(t, log.count(podshare.ErrTooMany), "reports of what is forgotten")

				publish(t, tr, xs[0].data(xs[0].set("late", `"v"`)))
				synctest.Wait()
				requireHolds(t, s, "late", "v")
			})
		})
	}
}

// Runs of stores beyond the limit of origins are forgotten, the oldest silent ones first, and reported; those
// whose writes are held are still needed.
func TestOriginsBeyondTheLimitAreForgottenAndReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		s := open(t, tr, "a", log.to(), podshare.WithLimits[string](podshare.Limits{Origins: 10}),
			podshare.WithTombstoneTTL[string](time.Minute)) // younger runs are not forgotten
		for i := range 30 {
			x := newStranger(fmt.Sprint("x", i))
			recs := []wire.Record{x.set("changing", fmt.Sprint(`"`, i, `"`))}
			if i < 5 {
				recs = append(recs, x.set(fmt.Sprint("lasting ", i), `"v"`))
			}
			publish(t, tr, x.data(recs...))
			pass(10 * time.Second)
		}
		pass(2 * time.Minute)
		require.Len(t, s.Keys(), 6)
		requireHolds(t, s, "changing", "29")
		require.Positive(t, log.count(podshare.ErrTooMany))
		require.NoError(t, s.Set(t.Context(), "changing", "v"))
		requireHolds(t, s, "changing", "v")
	})
}

// Stamps come from the clock that the store is given.
func TestClockOfTheStoreStampsItsWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		behind := podshare.WithClock[string](func() time.Time { return time.Now().Add(-30 * time.Second) })
		a := open(t, newMemory(t), "a", behind)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.Equal(t, 30*time.Second, time.Since(a.Version("k").Timestamp))
	})
}

// G8: tombstones above the limit go at once, and not in one go.
func TestTombstonesAboveTheLimitGoAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := open(t, newMemory(t), "a", podshare.WithLimits[string](podshare.Limits{Tombstones: 10}))
		require.NoError(t, s.SetMany(t.Context(), numbered(5000, "v")))
		pass(2 * time.Second)
		require.NoError(t, s.DeleteMany(t.Context(), slices.Sorted(maps.Keys(numbered(5000, "v")))))
		pass(5 * time.Millisecond)
		require.Equal(t, 10, s.Stats().Tombstones)
		require.EqualValues(t, 4990, s.Stats().TombstonesForced)
	})
}
