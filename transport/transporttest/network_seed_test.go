package transporttest_test

import (
	"math/bits"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport/transporttest"
)

var everything = transporttest.Faults{
	Drop: 0.2, Duplicate: 0.2, Corrupt: 0.2, Reorder: 0.2, MinDelay: time.Millisecond, MaxDelay: time.Second,
}

func trace(t *testing.T, seed uint64, f transporttest.Faults) (got []string) {
	t.Helper()
	inNetwork(t, seed, f, func(t *testing.T, n *transporttest.Network) {
		a, atB := n.Pod("a"), subscribe(t, n.Pod("b"))
		for _, f := range numbered(200) {
			publish(t, a, f)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got = received(atB)
	})
	return got
}

func TestOneSeedIsOneSchedule(t *testing.T) {
	require.Equal(t, trace(t, 1, everything), trace(t, 1, everything))
	require.NotEqual(t, trace(t, 1, everything), trace(t, 2, everything))
}

func TestSwitchingOneFaultOffLeavesTheOthersWhereTheyWere(t *testing.T) {
	// Without corruption the same frames come, in the same order.
	sound := everything
	sound.Corrupt = 0
	with, without := trace(t, 1, everything), trace(t, 1, sound)
	require.Len(t, with, len(without))
	for i := range with {
		require.True(t, couldBecome(without[i], with[i]), "%q, damaged: %q", without[i], with[i])
	}
}

func couldBecome(sent, got string) bool {
	if len(got) < len(sent) {
		return strings.HasPrefix(sent, got)
	}
	flipped := 0
	for i := range sent {
		flipped += bits.OnesCount8(sent[i] ^ got[i])
	}
	return len(got) == len(sent) && flipped <= 4
}
