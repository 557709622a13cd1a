//go:build unix

package redisfaults

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
	"github.com/podshare/podshare/internal/redistest"
)

const (
	channel = "{podshare:topic}:frames"
	vector  = "{podshare:topic}:rows:vector"
	entries = "{podshare:topic}:rows:entries"
)

// Somebody else uses our channel: noise, and frames of ours that were damaged on the way.
func TestFleetSurvivesGarbageOnItsChannel(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	stranger := server.Client()
	overheard := stranger.Subscribe(t.Context(), channel)
	var frames [][]byte
	for range 300 {
		msg, err := overheard.ReceiveMessage(t.Context())
		require.NoError(t, err)
		frames = append(frames, []byte(msg.Payload))
	}
	require.NoError(t, overheard.Close())
	random := rand.New(rand.NewPCG(1, 2))
	for _, frame := range frames {
		noise := make([]byte, random.IntN(2_000))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		damaged := slices.Clone(frame)
		damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
		for _, garbage := range [][]byte{nil, noise, damaged, frame[:random.IntN(len(frame))], append(frame, 0)} {
			require.NoError(t, stranger.Publish(t.Context(), channel, garbage).Err())
		}
	}
	f.await("the pods to report bad frames", func(p *pod) bool { return p.Stats().FramesBad > 300 })
	f.settle()
}

// Somebody else writes into our hashes, and over rows of ours.
func TestFleetSurvivesGarbageInItsRows(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	stranger := server.Client()
	for _, hash := range []string{vector, entries} {
		for _, garbage := range []string{"", "x", "garbage", "\x00\x00\x00\x01xy", "\x00\x00\x00\x04headbody"} {
			for _, field := range append(stranger.HRandField(t.Context(), hash, 3).Val(), "strange "+garbage) {
				f.awaitWrites(5)
				require.NoError(t, stranger.HSet(t.Context(), hash, field, garbage).Err())
			}
		}
	}
	f.settle()
}

// Our keys are taken by something else. That is an error until somebody deletes it.
func TestFleetSurvivesKeysOfTheWrongType(t *testing.T) {
	server := redistest.Start(t)
	f := startFleet(t, 3, at(server.Addr))
	stranger := server.Client()
	for _, key := range []string{vector, entries} {
		for _, take := range [][]any{{"set", key, "garbage"}, {"lpush", key, "garbage"}} {
			for _, p := range f.pods {
				p.forgetErrors()
			}
			_, err := stranger.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
				pipe.Del(t.Context(), key)
				return pipe.Do(t.Context(), take...).Err()
			})
			require.NoError(t, err)
			fleettest.Poll(t, "a pod to complain", func() bool { return f.anyHeard("holds what is no hash") })
			require.NoError(t, stranger.Del(t.Context(), key).Err())
		}
	}
	f.settle()
}

// One of our two hashes goes and the other one stays, as an eviction may have it, or whoever deletes a key of the wrong
// type. What the vector that stayed says of rows that are gone must kill nothing.
func TestFleetSurvivesTheLossOfOneHash(t *testing.T) {
	for _, lost := range []string{vector, entries} {
		t.Run(lost, func(t *testing.T) {
			server := redistest.Start(t)
			f := startFleet(t, 3, at(server.Addr))
			stranger := server.Client()
			for range 5 {
				f.awaitWrites(50)
				require.NoError(t, stranger.Del(t.Context(), lost).Err())
			}
			f.settle()
		})
	}
}
