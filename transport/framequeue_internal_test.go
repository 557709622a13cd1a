package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Large frames fill a queue before its number of frames does, until they are taken.
func TestFrameQueueIsBoundedByBytes(t *testing.T) {
	var q frameQueue
	q.init(100, 10)
	want := func(size int, fate fate) {
		t.Helper()
		require.Equal(t, fate, q.offer(make([]byte, size)), "%d bytes to %d frames", size, len(q.frames))
	}
	for range 3 {
		want(20, taken) // one frame always finds room
		want(1, lostFirst)
		want(1, lost)
		<-q.frames
		want(4, taken)
		want(4, taken)
		want(3, lostFirst)
		want(2, taken)
		<-q.frames
		want(5, lost) // not yet half empty: no news
		want(4, taken)
		for range 3 {
			<-q.frames
		}
	}
	q.end()
}

func TestFrameQueueForgetsTheSizesOfWhatWasTaken(t *testing.T) {
	var q frameQueue
	q.init(4, 10)
	for i := range 1000 {
		require.Equal(t, taken, q.offer(make([]byte, i%4)))
		require.LessOrEqual(t, len(q.sizes), 1)
		<-q.frames
	}
}
