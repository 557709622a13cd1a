package transporttest

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"go.uber.org/goleak"
)

// The rules about Close and what is left behind.

func closedTransportReturnsErrors(w world) {
	tr := w.open()
	topic := w.topic("closed")
	w.within("Close", func() { _ = tr.Close() })
	ctx := context.Background()
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"Publish", func() error { return tr.Publish(ctx, topic, frame("too late")) }},
		{"Subscribe", func() error { _, err := tr.Subscribe(ctx, topic); return err }},
		{"Snapshot", func() error { return tr.Snapshot(ctx, topic, frame("too late")) }},
		{"FetchSnapshot", func() error { _, err := tr.FetchSnapshot(ctx, topic); return err }},
	} {
		var err error
		w.within(call.name, func() { err = call.do() })
		if err == nil {
			w.Errorf("%s on a closed transport returned no error", call.name)
		}
	}
}

func closingTwice(w world) {
	tr := w.open()
	w.subscribe(tr, w.topic("open"))
	for _, which := range []string{"first", "second"} {
		var err error
		w.within(which+" Close", func() { err = tr.Close() })
		if err != nil {
			w.Errorf("%s Close: %v", which, err)
		}
	}
}

func closingWhileOthersPublish(w world) {
	tr := w.open()
	in := w.subscribe(tr, w.topic("closing"))
	const publishers = 4
	var publishing, ended sync.WaitGroup
	publishing.Add(publishers)
	for range publishers {
		ended.Go(func() {
			_ = tr.Publish(context.Background(), in.topic, frame("the first"))
			publishing.Done()
			// Bounded, so that a transport that still accepts frames fails its own rule and not this one.
			for i := range 100_000 {
				if tr.Publish(context.Background(), in.topic, frame("frame %d", i)) != nil {
					return
				}
			}
		})
	}
	publishing.Wait()
	w.within("Close while others publish", func() {
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() { _ = tr.Close() })
		}
		closing.Wait()
	})
	w.within("Publish while the transport closed", ended.Wait)
	in.awaitEnd("its transport closed")
}

// endedSubscriptionLeavesNoGoroutine counts instead of comparing: a transport may replace its own goroutines.
func endedSubscriptionLeavesNoGoroutine(w world) {
	tr := w.open()
	cycle := func(i int) {
		in := w.subscribe(tr, w.topic(fmt.Sprint(i)))
		in.cancel()
		in.awaitEnd("its context ended")
	}
	cycle(0) // starts what the transport keeps running
	const cycles, spare = 100, 20
	before := runtime.NumGoroutine()
	for i := range cycles {
		cycle(i)
	}
	w.eventually(func() bool { return runtime.NumGoroutine() <= before+spare }, func() string {
		return fmt.Sprintf("%d subscriptions were opened and ended, and goroutines rose from %d to %d", cycles, before, runtime.NumGoroutine())
	})
}

func closedTransportLeavesNoGoroutine(w world) {
	present := goleak.IgnoreCurrent()
	// Registered before the transport is opened, so that it runs when whatever cleans up after it has run.
	w.Cleanup(func() {
		var leaked error
		w.eventually(func() bool { leaked = goleak.Find(present); return leaked == nil }, func() string {
			return fmt.Sprintf("goroutines are left after Close: %v", leaked)
		})
	})
	from, to := w.openPair()
	topics := []string{w.topic("one"), w.topic("two")}
	for _, topic := range topics {
		w.subscribe(to, topic).warmUp(from)
		w.store(from, topic, frame("snapshot"))
		w.fetch(to, topic)
	}
	for _, tr := range []Transport{from, to} {
		w.within("Close", func() { _ = tr.Close() })
	}
}
