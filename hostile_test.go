package podshare_test

import (
	"context"
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

// A write in our own name that we never made counts for nothing, in whatever frame it comes and whether it can be read or
// not: our next write has the next number, and the key takes what others write.
func TestWritesInOurNameThatWeNeverMadeCountForNothing(t *testing.T) {
	const (
		readable = `"forged"`
		garbage  = `{`
	)
	forge := func(x *stranger, own wire.ID, value string) (*wire.Header, *wire.Records) {
		h := x.header()
		var rs wire.Records
		rs.Reset([]byte(x.node), x.boot)
		rs.Add(&wire.Record{
			Origin: rs.Index([]byte("a"), own.Boot), Key: []byte("k"), Seq: 1000, Stamp: wire.MaxStamp, Value: []byte(value),
		})
		return &h, &rs
	}
	for name, send := range map[string]func(t *testing.T, tr *tap, x *stranger, own wire.ID, a *podshare.Store[string]){
		"readable": func(t *testing.T, tr *tap, x *stranger, own wire.ID, _ *podshare.Store[string]) {
			h, rs := forge(x, own, readable)
			publish(t, tr, wire.AppendData(nil, h, rs, true))
		},
		"unreadable": func(t *testing.T, tr *tap, x *stranger, own wire.ID, _ *podshare.Store[string]) {
			h, rs := forge(x, own, garbage)
			publish(t, tr, wire.AppendData(nil, h, rs, true))
		},
		"unreadable, in an answer": func(t *testing.T, tr *tap, x *stranger, own wire.ID, _ *podshare.Store[string]) {
			h, rs := forge(x, own, garbage)
			answerForged(t, tr, x, h, own, rs)
		},
		"unreadable, in the stored snapshot": func(t *testing.T, tr *tap, x *stranger, own wire.ID, a *podshare.Store[string]) {
			h, rs := forge(x, own, garbage)
			storeForged(t, tr, h, own, rs, a)
		},
		"replaced by another's": func(t *testing.T, tr *tap, x *stranger, own wire.ID, _ *podshare.Store[string]) {
			rec := x.set("theirs", `"v"`)
			rs := x.records(nil)
			rec.Replaced = []wire.Dot{{Origin: rs.Index([]byte("a"), own.Boot), Seq: 2}}
			rs.Add(&rec)
			h := x.header()
			publish(t, tr, wire.AppendData(nil, &h, rs, true))
		},
		"readable, in an answer": func(t *testing.T, tr *tap, x *stranger, own wire.ID, _ *podshare.Store[string]) {
			h, rs := forge(x, own, readable)
			answerForged(t, tr, x, h, own, rs)
		},
		"readable, in the stored snapshot": func(t *testing.T, tr *tap, x *stranger, own wire.ID, a *podshare.Store[string]) {
			h, rs := forge(x, own, readable)
			storeForged(t, tr, h, own, rs, a)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				tr := &tap{Transport: newMemory(t)}
				a := open(t, tr, "a")
				require.NoError(t, a.Set(t.Context(), "mine", "v"))
				synctest.Wait()
				h, _, err := wire.Open(tr.sent(t, wire.KindData)[0], wire.Limits{})
				require.NoError(t, err)
				send(t, tr, newStranger("x"), h.ID(), a)
				pass(healing)
				requireAbsent(t, a, "k")
				require.NoError(t, a.Set(t.Context(), "next", "v"))
				require.Equal(t, uint64(2), a.Version("next").Seq)
				b := open(t, tr, "b") // not earlier: it could not tell what is forged
				pass(healing)
				require.NoError(t, b.Set(t.Context(), "k", "real"))
				pass(healing)
				requireHolds(t, a, "k", "real")
				requireHolds(t, b, "next", "v")
			})
		})
	}
}

// answerForged makes a ask the stranger for a write, and answers with the given records and a vector that claims them.
func answerForged(t *testing.T, tr *tap, x *stranger, h *wire.Header, own wire.ID, rs *wire.Records) {
	t.Helper()
	x.seq++
	publish(t, tr, x.heartbeat())
	pass(100 * time.Millisecond)
	h.Head = x.seq
	answered := false
	for _, frame := range tr.sent(t, wire.KindWant) {
		var want wire.Want
		from, body, err := wire.Open(frame, wire.Limits{})
		require.NoError(t, err)
		require.NoError(t, want.Parse(body))
		if from.ID() != own || want.To != h.ID() {
			continue
		}
		answered = true
		m := wire.Have{To: own, Series: want.Series, Last: true, Vector: []wire.VectorEntry{{ID: h.ID(), Head: x.seq}, {ID: own, Head: 1000}}}
		require.NoError(t, tr.Publish(t.Context(), topic, wire.AppendHave(nil, h, &m, rs, true)))
	}
	require.True(t, answered, "a asked the stranger")
}

// storeForged has a read a stored snapshot with the given records and a vector that claims them.
func storeForged(t *testing.T, tr *tap, h *wire.Header, own wire.ID, rs *wire.Records, a *podshare.Store[string]) {
	t.Helper()
	m := wire.Snapshot{Vector: []wire.VectorEntry{{ID: own, Head: 1000}}}
	require.NoError(t, tr.Snapshot(t.Context(), topic, wire.AppendSnapshot(nil, h, &m, rs, true)))
	require.NoError(t, a.Refresh(t.Context()))
	require.NoError(t, tr.Snapshot(t.Context(), topic, nil))
}

// A stranger's word that something of the far future was forgotten drags no stamps along.
func TestFloorOfTheFutureDragsNoKeyAlong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		x := newStranger("x")
		tr.onFetch = func(context.Context, string) ([]byte, error) {
			rec := x.set("k", `"v"`)
			h := x.header()
			m := wire.Snapshot{Vector: []wire.VectorEntry{{ID: h.ID(), Head: x.seq}}, Floor: wire.MaxStamp}
			return wire.AppendSnapshot(nil, &h, &m, x.records([]wire.Record{rec}), true), nil
		}
		a := open(t, tr, "a")
		requireHolds(t, a, "k", "v")
		require.NoError(t, a.Set(t.Context(), "new", "v"))
		require.WithinDuration(t, time.Now(), a.Version("new").Timestamp, time.Minute)
	})
}

// A peer whose answer says nothing and does not end is given up at once: it could go on for ever.
func TestAnswerThatSaysNothingIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := &tap{Transport: newMemory(t)}
		a := open(t, tr, "a")
		x := newStranger("x")
		x.seq++
		publish(t, tr, x.heartbeat())
		pass(100 * time.Millisecond)
		wants := tr.sent(t, wire.KindWant)
		require.Len(t, wants, 1)
		from, body, err := wire.Open(wants[0], wire.Limits{})
		require.NoError(t, err)
		var want wire.Want
		require.NoError(t, want.Parse(body))
		h := x.header()
		m := wire.Have{To: from.ID(), Series: want.Series}
		publish(t, tr, wire.AppendHave(nil, &h, &m, x.records(nil), true))
		synctest.Wait()
		require.EqualValues(t, 1, a.Stats().RepairsFailed)
	})
}
