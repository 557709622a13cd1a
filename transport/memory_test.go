package transport_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/podshare/podshare/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemory(t *testing.T, opts ...transport.MemoryOption) *transport.MemoryTransport {
	t.Helper()
	m := transport.NewMemoryTransport(opts...)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return m
}

func subscribe(t *testing.T, m *transport.MemoryTransport, topic string) <-chan []byte {
	t.Helper()
	frames, err := m.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	return frames
}

func TestMemoryHandsOutThePublishedSlice(t *testing.T) {
	m := newMemory(t)
	one, two := subscribe(t, m, "topic"), subscribe(t, m, "topic")
	frame := []byte("frame")
	require.NoError(t, m.Publish(t.Context(), "topic", frame))
	require.Same(t, &frame[0], &(<-one)[0])
	require.Same(t, &frame[0], &(<-two)[0])
}

func TestMemoryPublishAllocatesNothing(t *testing.T) {
	m := newMemory(t)
	sub := subscribe(t, m, "topic")
	ctx, frame := t.Context(), []byte("frame")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		_ = m.Publish(ctx, "topic", frame)
		<-sub
	}))
}

func TestMemoryDropsWhatAFullQueueCannotTake(t *testing.T) {
	m := newMemory(t, transport.WithMemoryQueue(2))
	full, read := subscribe(t, m, "topic"), subscribe(t, m, "topic")
	for i := range 5 {
		require.NoError(t, m.Publish(t.Context(), "topic", []byte{byte(i)}))
		require.Equal(t, []byte{byte(i)}, <-read)
	}
	require.EqualValues(t, 3, m.Dropped())
	require.Equal(t, []byte{0}, <-full)
	require.Equal(t, []byte{1}, <-full)
	require.Empty(t, full)
}

// One report when frames begin to be lost, another only after the queue was half empty in between.
func TestMemoryReportsEachBurstOfDropsOnce(t *testing.T) {
	var reports []error
	m := newMemory(t, transport.WithMemoryQueue(4), transport.WithMemoryOnError(func(err error) { reports = append(reports, err) }))
	sub := subscribe(t, m, "topic")
	publish := func(n int) {
		for range n {
			require.NoError(t, m.Publish(t.Context(), "topic", nil))
		}
	}
	publish(4)
	require.Empty(t, reports)
	publish(100)
	require.Len(t, reports, 1)
	require.ErrorIs(t, reports[0], transport.ErrQueueFull)
	require.ErrorContains(t, reports[0], `"topic"`)

	for range 50 { // the subscriber remains behind
		<-sub
		publish(2)
	}
	require.Len(t, reports, 1)

	<-sub
	<-sub
	publish(3)
	require.Len(t, reports, 2)
	require.EqualValues(t, 100+50+1, m.Dropped())
}

func TestMemoryErrorHandlerMayUseTheTransportAndPanic(t *testing.T) {
	var m *transport.MemoryTransport
	calls := 0
	m = newMemory(t, transport.WithMemoryQueue(1), transport.WithMemoryOnError(func(error) {
		calls++
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := m.Subscribe(ctx, "topic")
		assert.NoError(t, err)
		assert.NoError(t, m.Publish(ctx, "topic", nil))
		assert.NoError(t, m.Snapshot(ctx, "topic", nil))
		panic("handler")
	}))
	subscribe(t, m, "topic")
	require.NoError(t, m.Publish(t.Context(), "topic", nil))
	require.NoError(t, m.Publish(t.Context(), "topic", nil))
	require.Equal(t, 1, calls)
}

func TestMemoryRefuses(t *testing.T) {
	m := newMemory(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func(ctx context.Context, topic string) error{
		"Publish":       func(ctx context.Context, topic string) error { return m.Publish(ctx, topic, nil) },
		"Subscribe":     func(ctx context.Context, topic string) error { _, err := m.Subscribe(ctx, topic); return err },
		"Snapshot":      func(ctx context.Context, topic string) error { return m.Snapshot(ctx, topic, nil) },
		"FetchSnapshot": func(ctx context.Context, topic string) error { _, err := m.FetchSnapshot(ctx, topic); return err },
	}
	for name, call := range calls {
		require.ErrorIs(t, call(t.Context(), ""), transport.ErrEmptyTopic, name)
		require.ErrorIs(t, call(ended, "topic"), context.Canceled, name)
	}
	require.NoError(t, m.Close())
	for name, call := range calls {
		require.ErrorIs(t, call(ended, ""), transport.ErrClosed, "%s: closed comes first", name)
	}
}

func TestMemoryQueueKeepsItsDefault(t *testing.T) {
	for _, frames := range []int{0, -1, 1024} {
		m := newMemory(t, transport.WithMemoryQueue(frames))
		require.Equal(t, 1024, cap(subscribe(t, m, "topic")))
	}
}

func TestMemoryQueuedFramesOutliveTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t)
		ctx, cancel := context.WithCancel(t.Context())
		sub, err := m.Subscribe(ctx, "topic")
		require.NoError(t, err)
		require.NoError(t, m.Publish(ctx, "topic", []byte("queued")))
		cancel()
		synctest.Wait()
		require.Zero(t, m.Subscribers("topic"))
		require.Equal(t, []byte("queued"), <-sub)
		_, open := <-sub
		require.False(t, open)
	})
}

func TestMemoryEmptySnapshotRemovesIt(t *testing.T) {
	m := newMemory(t)
	require.NoError(t, m.Snapshot(t.Context(), "topic", []byte("data")))
	require.NoError(t, m.Snapshot(t.Context(), "topic", []byte{}))
	data, err := m.FetchSnapshot(t.Context(), "topic")
	require.NoError(t, err)
	require.Nil(t, data)
}

// Whoever is subscribed throughout gets all frames, whatever others on the topic and on the transport do.
func TestMemoryLosesNothingWhileSubscriptionsChange(t *testing.T) {
	const publishers, frames, changers = 2, 200, 2
	m := newMemory(t, transport.WithMemoryQueue(publishers*frames))
	steady := subscribe(t, m, "topic")

	var publishing atomic.Int64
	publishing.Store(publishers)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			defer publishing.Add(-1)
			for range frames {
				assert.NoError(t, m.Publish(t.Context(), "topic", nil))
			}
		})
	}
	for i := range changers {
		all.Go(func() {
			for publishing.Load() > 0 {
				for _, topic := range []string{"topic", fmt.Sprint("another ", i)} {
					ctx, cancel := context.WithCancel(t.Context())
					sub, err := m.Subscribe(ctx, topic)
					assert.NoError(t, err)
					cancel()
					for range sub {
					}
				}
			}
		})
	}
	all.Wait()
	require.Len(t, steady, publishers*frames)
	require.Zero(t, m.Dropped())
	require.Equal(t, 1, m.Subscribers("topic"))
}

// Subscribe and Close race: either the subscription is refused, or its channel is closed.
func TestMemoryCloseMissesNoSubscription(t *testing.T) {
	m := transport.NewMemoryTransport(transport.WithMemoryQueue(1))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				sub, err := m.Subscribe(t.Context(), fmt.Sprint(i, n%100))
				if err != nil {
					assert.ErrorIs(t, err, transport.ErrClosed)
					return
				}
				if n == 100 {
					go m.Close()
				}
				all.Go(func() {
					_, open := <-sub
					assert.False(t, open)
				})
			}
		})
	}
	all.Wait()
}
