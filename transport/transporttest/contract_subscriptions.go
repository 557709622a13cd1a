package transporttest

import (
	"context"
	"errors"
	"time"

	"github.com/podshare/podshare/transport"
)

// The rules about the life of a subscription.

func subscriptionEndsWithContext(w world) {
	from, to := w.openPair()
	ending, staying := w.subscribe(to, w.topic("ending")), w.subscribe(to, w.topic("staying"))
	ending.warmUp(from)
	staying.warmUp(from)
	unread := w.subscribe(to, w.topic("unread"))
	for i := range 5 {
		w.publish(from, unread.topic, frame("unread %d", i))
	}

	ending.cancel()
	ending.awaitEnd("its context ended")
	unread.cancel()
	unread.awaitEnd("its context ended")

	w.publish(from, ending.topic, frame("too late"))
	w.publish(from, staying.topic, frame("still here"))
	staying.await(frame("still here"))
}

func subscriptionEndsWithTransport(w world) {
	from, to := w.openPair()
	one, two := w.subscribe(to, w.topic("one")), w.subscribe(to, w.topic("two"))
	one.warmUp(from)
	w.within("Close", func() { _ = to.Close() })
	one.awaitEnd("its transport closed")
	two.awaitEnd("its transport closed")
}

func topicCanBeSubscribedAgain(w world) {
	from, to := w.openPair()
	topic := w.topic("again")
	for i := range 5 {
		in := w.subscribe(to, topic)
		in.warmUp(from)
		w.publish(from, topic, frame("frame %d", i))
		in.await(frame("frame %d", i))
		in.cancel()
		in.awaitEnd("its context ended")
	}
}

func endedContextStartsNoSubscription(w world) {
	to := w.open()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var frames <-chan []byte
	var err error
	w.within("Subscribe", func() { frames, err = to.Subscribe(ctx, w.topic("ended")) })
	if err != nil {
		return // refused: as good as ended at once
	}
	select {
	case _, open := <-frames:
		if open {
			w.Errorf("a subscription whose context had ended before received a frame that nobody published")
		}
	case <-time.After(w.patience):
		w.Errorf("Subscribe with an ended context returned a channel that was not closed within %v", w.patience)
	}
}

func isTopicInUse(err error) bool { return errors.Is(err, transport.ErrTopicInUse) }
