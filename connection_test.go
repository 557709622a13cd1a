package podshare_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// announcing is a transport that says when its connection is lost and there again.
type announcing struct {
	podshare.Transport
	mu  sync.Mutex
	fns []func(connected bool)
}

func (a *announcing) NotifyConnection(ctx context.Context, _ string, fn func(connected bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fns = append(a.fns, fn)
}

func (a *announcing) say(connected bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, fn := range a.fns {
		fn(connected)
	}
}

// A store whose transport is connected again looks at once for what it missed, and others for what it wrote meanwhile.
func TestReconnectIsRepairedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		tr := &announcing{Transport: net.Pod("b")}
		a, b := open(t, net.Pod("a"), "a"), open(t, tr, "b")
		pass(2*time.Second + 100*time.Millisecond) // the next heartbeats are far off
		net.Cut("b")
		tr.say(false)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, b.Set(t.Context(), "l", "v"))
		net.Heal()
		tr.say(true)
		pass(100 * time.Millisecond)
		requireHolds(t, b, "k", "v")
		requireHolds(t, a, "l", "v")
	})
}

// A server that restarts may lose what it stored: whoever is connected again stores it anew, though nothing changed.
func TestReconnectStoresWhatTheServerLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		tr := &announcing{Transport: net.Pod("a")}
		a := open(t, tr, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		tr.say(false)
		net.FlushStore()
		tr.say(true)
		pass(time.Minute)
		require.Equal(t, map[string]string{"k": "v"}, stored(t, tr))
	})
}

// A store is cut off while its transport says so, though other pods were heard a moment ago; not for a blink.
func TestLostConnectionIsBeingCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := &announcing{Transport: newMemory(t)}
		a := open(t, tr, "a", log.to())
		pass(5 * time.Second)
		require.Equal(t, podshare.Alone, a.Health().State)
		tr.say(false)
		pass(500 * time.Millisecond)
		tr.say(true)
		pass(time.Minute)
		require.Zero(t, log.count(nil))

		tr.say(false)
		tr.say(false) // twice is once
		pass(threeHeartbeats)
		require.Equal(t, podshare.CutOff, a.Health().State)
		tr.say(true)
		synctest.Wait()
		require.Equal(t, podshare.Alone, a.Health().State)

		require.NoError(t, a.Close())
		tr.say(false) // nobody listens
		require.Equal(t, podshare.Alone, a.Health().State)
	})
}

// A store that is connected again is cut off until it hears somebody: the others may not be connected yet, and what it
// missed is not here.
func TestCutOffEndsWithTheFirstWordOfAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		net := newNetwork(t, 1)
		tr := &announcing{Transport: net.Pod("b")}
		a, b := open(t, net.Pod("a"), "a"), open(t, tr, "b", log.to())
		pass(5 * time.Second)
		require.Equal(t, podshare.Synced, b.Health().State)
		net.Cut("b")
		tr.say(false)
		for b.Health().State != podshare.CutOff { // before it forgets a
			pass(100 * time.Millisecond)
		}
		require.NotEmpty(t, b.Health().Peers)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		tr.say(true) // its own connection is there, that of a is not
		pass(500 * time.Millisecond)
		require.Equal(t, podshare.CutOff, b.Health().State)
		pass(5 * time.Second)
		require.Equal(t, podshare.CutOff, b.Health().State)
		net.Heal()
		pass(threeHeartbeats)
		require.Equal(t, podshare.Synced, b.Health().State)
		requireHolds(t, b, "k", "v")
		require.Equal(t, []podshare.HealthError{
			{From: podshare.Synced, To: podshare.CutOff}, {From: podshare.CutOff, To: podshare.Synced},
		}, log.heard())
	})
}
