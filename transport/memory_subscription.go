package transport

// memorySubscription is the queue between publishers and one subscriber.
type memorySubscription struct {
	frameQueue

	// detach takes the subscription off its ctx; memoryShard.mu guards it.
	detach func() bool
}

func newMemorySubscription(queueFrames int) *memorySubscription {
	s := &memorySubscription{}
	s.init(queueFrames, 0) // frames are shared, not copied
	return s
}
