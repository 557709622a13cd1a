package podshare_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/internal/wire"
	"github.com/podshare/podshare/transport"
)

// heard returns the changes of state that were reported.
func (l *errorLog) heard() []podshare.HealthError {
	l.mu.Lock()
	defer l.mu.Unlock()
	var changes []podshare.HealthError
	for _, err := range l.errs {
		if he, ok := err.(*podshare.HealthError); ok { //nolint:errorlint // reported as it is
			changes = append(changes, *he)
		}
	}
	return changes
}

// G11: a store is Alone, Synced, Behind or CutOff, and says which within three heartbeats of becoming it.
func TestCutOffPodSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		var log errorLog
		a := open(t, net.Pod("a"), "a", log.to())
		pass(threeHeartbeats)
		require.Equal(t, podshare.Alone, a.Health().State, "nobody else was heard")

		b := open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		require.Equal(t, podshare.Synced, a.Health().State)
		require.Equal(t, podshare.Synced, b.Health().State)
		require.Len(t, a.Health().Peers, 1)
		require.Equal(t, "b", a.Health().Peers[0].Node)
		require.Empty(t, log.heard(), "to be synced is no error")

		net.Cut("a")
		pass(threeHeartbeats)
		require.Equal(t, podshare.CutOff, a.Health().State)
		require.Equal(t, podshare.CutOff, b.Health().State)
		require.WithinDuration(t, time.Now(), a.Health().Since, threeHeartbeats)

		net.Heal()
		pass(threeHeartbeats)
		require.Equal(t, podshare.Synced, a.Health().State)
		require.Equal(t, []podshare.HealthError{
			{From: podshare.Synced, To: podshare.CutOff},
			{From: podshare.CutOff, To: podshare.Synced},
		}, log.heard())

		require.NoError(t, b.Close())
		pass(threeHeartbeats)
		require.Equal(t, podshare.Alone, a.Health().State, "a pod that said goodbye is not missed")
	})
}

// G11, Behind: what another pod announced is missing, and cannot be had.
//
//	b: ──set k──╳ (no data reaches a, heartbeats do) … a is Behind until the link is whole
func TestPodThatMissesAWriteSaysThatItIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 2)
		gate := &onlyHeartbeats{Transport: net.Pod("a")}
		var log errorLog
		a := open(t, gate, "a", log.to())
		b := open(t, net.Pod("b"), "b")
		pass(threeHeartbeats)
		require.Equal(t, podshare.Synced, a.Health().State)

		gate.shut.Store(true)
		require.NoError(t, b.Set(t.Context(), "k", "v"))
		pass(2 * threeHeartbeats)
		require.Equal(t, podshare.Behind, a.Health().State)
		require.EqualValues(t, 1, a.Health().Peers[0].Lag)

		gate.shut.Store(false)
		pass(healing)
		require.Equal(t, podshare.Synced, a.Health().State)
		requireHolds(t, a, "k", "v")
		require.Equal(t, []podshare.HealthError{
			{From: podshare.Synced, To: podshare.Behind},
			{From: podshare.Behind, To: podshare.Synced},
		}, log.heard())
	})
}

func TestPodWhoseTransportIsClosedSaysThatItIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := transport.NewMemoryTransport()
		var log errorLog
		a := open(t, tr, "a", log.to())
		pass(threeHeartbeats)
		require.NoError(t, tr.Close())
		pass(threeHeartbeats)
		require.Equal(t, podshare.CutOff, a.Health().State)
		require.Equal(t, []podshare.HealthError{{From: podshare.Alone, To: podshare.CutOff}}, log.heard())
	})
}

// onlyHeartbeats is a transport that, while shut, lets nothing in but heartbeats.
type onlyHeartbeats struct {
	podshare.Transport
	shut atomic.Bool
}

func (g *onlyHeartbeats) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	frames, err := g.Transport.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	passed := make(chan []byte, 1024)
	go func() {
		defer close(passed)
		for frame := range frames {
			h, _, err := wire.Open(frame, wire.Limits{})
			if err == nil && (!g.shut.Load() || h.Kind == wire.KindHeartbeat) {
				passed <- frame
			}
		}
	}()
	return passed, nil
}
