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
)

// incompressible returns n letters that Snappy makes no smaller.
func incompressible(n int) string {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('A' + rng.IntN(26))
	}
	return string(b)
}

// G9: a frame that is corrupt, truncated, foreign, of an unknown kind or of the future is reported and dropped
// whole.
func TestBadFramesAreReportedAndDroppedWhole(t *testing.T) {
	const versionAt, kindAt = 4, 6
	good := func(x *stranger) []byte { return x.data(x.set("k", `"v"`), x.set("l", `"v"`)) }
	for name, make := range map[string]func(x *stranger) []byte{
		"empty":          func(*stranger) []byte { return nil },
		"garbage":        func(*stranger) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") },
		"truncated":      func(x *stranger) []byte { b := good(x); return b[:len(b)-1] },
		"half":           func(x *stranger) []byte { b := good(x); return b[:len(b)/2] },
		"doubled":        func(x *stranger) []byte { b := good(x); return append(b, b...) },
		"a flipped bit":  func(x *stranger) []byte { b := good(x); b[len(b)/2] ^= 4; return b },
		"unknown kind":   func(x *stranger) []byte { return resealed(good(x), kindAt, 0x7f) },
		"future version": func(x *stranger) []byte { return resealed(good(x), versionAt, wire.Version+1) },
		"a snapshot":     func(x *stranger) []byte { return x.snapshot(x.set("k", `"v"`)) },
		"a stamp beyond the year 2200": func(x *stranger) []byte {
			rec := x.set("k", `"v"`)
			rec.Stamp = wire.MaxStamp + 1
			return x.data(rec)
		},
		"a batch beyond the highest sequence number": func(x *stranger) []byte {
			x.seq = 1
			rec := x.set("k", `"v"`)
			rec.BatchFirst, rec.BatchLen = rec.Seq, wire.MaxSeq
			return x.data(rec)
		},
		"a negative stamp": func(x *stranger) []byte {
			rec := x.set("k", `"v"`)
			rec.Stamp = -1
			return x.data(x.set("j", `"v"`), rec)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				tr := newMemory(t)
				a := open(t, tr, "a", log.to())
				require.NoError(t, a.Set(t.Context(), "mine", "v"))
				publish(t, tr, make(newStranger("x")))
				synctest.Wait()
				require.Equal(t, map[string]string{"mine": "v"}, a.Snapshot())
				require.Equal(t, 1, log.count(podshare.ErrBadFrame))
			})
		})
	}
}

// A stranger that floods the topic with garbage does not flood the error handler, nor keep the pods apart.
func TestFloodOfGarbageHarmsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		a, b := open(t, tr, "a", log.to()), open(t, tr, "b")
		for i := range 100 {
			for range 100 {
				publish(t, tr, []byte("garbage"))
			}
			require.NoError(t, a.Set(t.Context(), fmt.Sprint(i), "v"))
			pass(100 * time.Millisecond)
		}
		pass(healing)
		requireSame(t, a, b)
		require.Positive(t, log.count(podshare.ErrBadFrame))
		require.Less(t, log.count(nil), 100)
	})
}

// G8, G9: a value of 50 MB, from a peer whose limits allow it, harms nobody: other keys go on converging,
// traffic stays bounded, and the receiver reports it.
func TestPeersOversizedValueHarmsNobody(t *testing.T) {
	const size = 50 << 20
	for name, value := range map[string]string{
		"incompressible": strings.Repeat(incompressible(1<<20), size>>20), // Snappy looks back 64 KiB
		"compressible":   strings.Repeat("v", size),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				tr := &tap{Transport: newMemory(t)}
				large := podshare.WithLimits[string](podshare.Limits{ValueBytes: 60 << 20, FrameBytes: 64 << 20})
				a := open(t, tr, "a", raw(), large)
				b, c := open(t, tr, "b", raw(), log.to()), open(t, tr, "c", raw())
				require.NoError(t, a.Set(t.Context(), "before", "v"))
				synctest.Wait()
				require.NoError(t, a.Set(t.Context(), "huge", value))
				require.NoError(t, a.Set(t.Context(), "after", "v"))
				require.NoError(t, c.Set(t.Context(), "theirs", "v"))
				pass(healing)
				_, first := tr.traffic()
				want := map[string]string{"before": "v", "after": "v", "theirs": "v"}
				require.Equal(t, want, b.Snapshot())
				require.Equal(t, want, c.Snapshot())
				require.Positive(t, log.count(podshare.ErrTooLarge))

				pass(time.Hour)
				_, all := tr.traffic()
				require.Less(t, all-first, 10<<20, "bytes sent in an hour after the value")
				require.Len(t, a.Keys(), 4, "its author keeps it")
				require.NoError(t, a.Set(t.Context(), "huge", "small now"))
				require.NoError(t, b.Set(t.Context(), "late", "v"))
				pass(healing)
				requireSame(t, a, b, c)
			})
		})
	}
}

// What a peer sends beyond the limits of keys and values is refused and reported; its neighbours are taken.
func TestPeersDataBeyondTheLimitsIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a", log.to(), podshare.WithLimits[string](podshare.Limits{KeyBytes: 10, ValueBytes: 100}))
		x := newStranger("x")
		publish(t, tr, x.data(
			x.set("first", `"v"`),
			x.set(strings.Repeat("k", 11), `"v"`),
			x.set("large", `"`+strings.Repeat("v", 100)+`"`),
			x.set("last", `"v"`),
		))
		publish(t, tr, x.data(batch(x.set("one", `"v"`), x.set("two", `"`+strings.Repeat("v", 100)+`"`))...))
		synctest.Wait()
		require.Equal(t, map[string]string{"first": "v", "last": "v"}, a.Snapshot())
		require.Equal(t, 3, log.count(podshare.ErrTooLarge))
		requireIdleTraffic(t, tr, a)
	})
}

// A peer that announces writes which it never sends makes nobody ask for ever.
func TestPeerThatNeverAnswersIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a, b := open(t, tr, "a"), open(t, tr, "b")
		x := newStranger("x")
		x.seq = 1000
		publish(t, tr, x.heartbeat())
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		synctest.Wait()
		requireHolds(t, b, "k", "v")
		requireIdleTraffic(t, tr, a, b)
	})
}
