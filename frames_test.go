package podshare_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// small limits the frames of a store to n bytes.
func small(n int) podshare.Option[string] {
	return podshare.WithLimits[string](podshare.Limits{FrameBytes: n, ValueBytes: 1 << 10, KeyBytes: 100})
}

// without is a transport without stored snapshots: whoever joins learns all from a peer.
func without(tr podshare.Transport) *tap {
	return &tap{
		Transport:  tr,
		onSnapshot: func(context.Context, string, []byte) error { return nil },
		onFetch:    func(context.Context, string) ([]byte, error) { return nil, nil },
	}
}

// G1 with small frames: the vector of an answer, an entry for each of the many pods that ever wrote, takes more than one
// frame, and so would the list of all that a pod wants.
func TestVectorLargerThanAFrameIsRepaired(t *testing.T) {
	const pods, frame = 700, 16 << 10
	bubble(t, func(t *testing.T) {
		tr := without(newMemory(t, transport.WithMemoryQueue(2*pods)))
		a := open(t, tr, "a", small(frame))
		for i := range pods {
			x := newStranger(fmt.Sprint("pod", i))
			publish(t, tr, x.data(x.set(fmt.Sprint("key", i), `"v"`)))
		}
		pass(10 * time.Minute) // until so many pods count as silent, for heartbeats slow down with their number
		require.Len(t, a.Keys(), pods)
		b := open(t, tr, "b", small(frame))
		pass(healing)
		requireSame(t, a, b)
		require.NoError(t, b.Set(t.Context(), "late", "v"))
		c := open(t, tr, "c", small(frame))
		pass(healing)
		requireSame(t, a, b, c)
		for _, f := range tr.frames {
			require.LessOrEqual(t, len(f.frame), frame)
		}
	})
}

// G1, G3 with small frames: what a full comparison lists takes many of them, for the writes that are held lie
// scattered among those that were replaced.
//
//	a: ── set 20,000 keys, another one after each ─┬─ (b cut off) delete one, forget it ─┬── the same
//	b: ────────────────────────────────────────────┴─────────────────────────────────────┴──
func TestComparisonLargerThanAFrameFindsADelete(t *testing.T) {
	const keys, frame = 20_000, 16 << 10
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		opts := []podshare.Option[string]{
			small(frame), podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second),
		}
		a, b := open(t, without(net.Pod("a")), "a", opts...), open(t, without(net.Pod("b")), "b", opts...)
		c := open(t, without(net.Pod("c")), "c", opts...)
		for i := range keys {
			require.NoError(t, a.Set(t.Context(), fmt.Sprint("key", i), "v"))
			require.NoError(t, a.Set(t.Context(), "hot", fmt.Sprint(i)))
			if i%1000 == 0 {
				pass(time.Millisecond)
			}
		}
		pass(healing)
		requireSame(t, a, b, c)
		net.Cut("b")
		require.NoError(t, a.Delete(t.Context(), "key7"))
		pass(5 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		require.NoError(t, b.Set(t.Context(), "news", "v"))
		net.Heal()
		pass(2 * healing) // the wide answer takes some round trips
		requireAbsent(t, b, "key7")
		requireSame(t, a, b, c)
	})
}

// A value that a pod takes no frame for is refused like one that it cannot read: its key keeps the value it has, also
// where everything is compared.
func TestWithheldValueKeepsTheOldOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var log errorLog
		forgetful := []podshare.Option[string]{
			podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](time.Second), raw(),
		}
		a, c := open(t, without(net.Pod("a")), "a", forgetful...), open(t, without(net.Pod("c")), "c", forgetful...)
		b := open(t, without(net.Pod("b")), "b", append(forgetful, small(16<<10), log.to())...)
		require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "old", "gone": "v", "kept": "v"}))
		pass(healing)
		net.Cut("b")
		require.NoError(t, a.Set(t.Context(), "k", incompressible(64<<10)))
		require.NoError(t, c.Delete(t.Context(), "gone"))
		pass(5 * time.Minute)
		require.Zero(t, a.Stats().Tombstones)
		net.Heal()
		pass(time.Minute)
		requireAbsent(t, b, "gone") // everything was compared
		requireHolds(t, b, "k", "old")
		requireHolds(t, b, "kept", "v")
		require.Positive(t, log.count(podshare.ErrTooLarge))
		require.Equal(t, "k", log.keyOf(podshare.ErrTooLarge))

		require.NoError(t, c.Set(t.Context(), "k", "small again"))
		pass(healing)
		requireSame(t, a, b, c)
	})
}
