package podshare_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// meshed is a transport between pods, without anything else that could keep a snapshot.
type meshed struct {
	podshare.Transport
	alone func(topic string) bool
}

func (m meshed) Alone(topic string) bool { return m.alone(topic) }

func always(alone bool) func(string) bool { return func(string) bool { return alone } }

// A pod of which the mesh knows that it is alone is ready at once; one that may have peers waits for them.
func TestFirstPodOfAMeshIsReadyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		var asked string
		a := open(t, meshed{tr, func(topic string) bool { asked = topic; return true }}, "a")
		require.True(t, a.Ready())
		require.Zero(t, untilSynced(t, a))
		require.Equal(t, podshare.Alone, a.Health().State)
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.Equal(t, topic, asked)

		b := open(t, meshed{tr, always(false)}, "b")
		require.False(t, b.Ready())
		require.Less(t, untilSynced(t, b), time.Second)
		requireHolds(t, b, "k", "v")
	})
}

func TestMeshWithPeersThatSayNothingIsNotWaitedForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := open(t, meshed{newMemory(t), always(false)}, "a")
		require.False(t, a.Ready())
		require.Equal(t, time.Second, untilSynced(t, a))
	})
}

// Stores of a mesh store nothing where nobody would look for it, only where a layer around it keeps snapshots.
func TestStoresOfAMeshStoreNoSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		files, err := transport.WithSnapshotFile(meshed{tr, always(true)}, t.TempDir())
		require.NoError(t, err)
		a := open(t, meshed{whole{tr}, always(true)}, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		pass(time.Minute)
		require.NoError(t, a.Close())
		data, err := tr.FetchSnapshot(t.Context(), topic)
		require.NoError(t, err)
		require.Empty(t, data)
		require.Zero(t, a.Stats().Snapshots)

		b := open(t, files, "b")
		require.NoError(t, b.Set(t.Context(), "l", "v"))
		require.NoError(t, b.Close())
		require.Equal(t, map[string]string{"l": "v"}, stored(t, files))
	})
}

// What somebody else has stored there is loaded all the same.
func TestSnapshotOfAMeshIsLoaded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tr := newMemory(t)
		a := open(t, whole{tr}, "a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		require.NoError(t, a.Close())
		b := open(t, meshed{whole{tr}, always(true)}, "b")
		requireHolds(t, b, "k", "v")
	})
}

func TestPanicOfAMeshIsAnError(t *testing.T) {
	_, err := podshare.New[string](t.Context(), topic, meshed{newMemory(t), func(string) bool { panic("no") }})
	require.ErrorIs(t, err, podshare.ErrPanic)
}

// A pod of a mesh that closes right after a write, of which the frame was lost, gives it to another one first: nobody else has
// it.
func TestPodOfAMeshClosesWhenAnotherHoldsItsWrites(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, meshed{net.Pod("a"), always(false)}, "a")
		b := open(t, meshed{net.Pod("b"), always(false)}, "b")
		pass(2*time.Second + 100*time.Millisecond)
		net.Cut("a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		net.Heal()
		start := time.Now()
		require.NoError(t, a.Close())
		require.Less(t, time.Since(start), time.Second)
		pass(time.Second)
		requireHolds(t, b, "k", "v")
		require.NoError(t, b.Close(), "there is nobody left to wait for")
		require.Less(t, time.Since(start), 3*time.Second)
	})
}

// Close does not wait for who is not there any more, nor for long for who does not answer.
func TestCloseOfAMeshEndsThoughNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a := open(t, meshed{net.Pod("a"), always(false)}, "a")
		_ = open(t, meshed{net.Pod("b"), always(false)}, "b")
		pass(5 * time.Second)
		net.Cut("a")
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		start := time.Now()
		require.NoError(t, a.Close())
		require.LessOrEqual(t, time.Since(start), 3*time.Second)
		require.NoError(t, a.Close(), "the second time")
	})
}
