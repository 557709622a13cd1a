package transporttest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
)

// The rules about frames and who gets them.

func frameReachesEverySubscriber(w world) {
	from, to := w.openPair()
	topic := w.topic("news")
	inboxes := []*inbox{w.subscribe(to, topic)}
	for range 2 {
		if in := w.subscribeAgain(to, topic); in != nil {
			inboxes = append(inboxes, in)
		}
	}
	for _, in := range inboxes {
		in.warmUp(from)
	}
	for i := range 20 {
		f := frame("frame %d", i)
		w.publish(from, topic, f)
		for _, in := range inboxes {
			in.await(f)
		}
	}
}

func frameStaysOnItsTopic(w world) {
	from, to := w.openPair()
	base := w.topic("topic")
	one, other := w.subscribe(to, base), w.subscribe(to, base+"2")
	one.warmUp(from)
	other.warmUp(from)
	for _, round := range []string{"first", "last"} { // the last round lets what strayed in the first come in
		for _, in := range []*inbox{one, other} {
			w.publish(from, in.topic, frame("%s on %s", round, in.topic))
			in.await(frame("%s on %s", round, in.topic))
		}
	}
	for _, in := range []*inbox{one, other} {
		in.wantOnly(frame("first on %s", in.topic), frame("last on %s", in.topic))
	}
}

// oddTopics would collide or break if a transport took any of these characters for its own syntax.
func oddTopics() []string {
	return []string{
		"plain", "Plain", "plain ", " plain", "a@b", "a%40b", "a/b", "a//b", "/a/b", "a/b/", "a b", "a+b", "a:b", "a.b",
		"a.*", "a?", "a>", "[ab]", "{ab}", "a\tb", "a\nb", `a"b`, `a\b`, "a#b", "日本語", "é", "e\u0301", "🙂",
		strings.Repeat("x", 999) + "y", strings.Repeat("x", 999) + "z",
	}
}

func topicCanBeAnyText(w world) {
	from, to := w.openPair()
	base := w.topic("")
	var inboxes []*inbox
	for _, odd := range oddTopics() {
		topic := base + odd
		if len(odd) == 1000 {
			topic = base + odd[len(base):] // a topic of 1000 bytes in all
		}
		inboxes = append(inboxes, w.subscribe(to, topic))
	}
	for _, in := range inboxes {
		in.warmUp(from)
	}
	for _, in := range inboxes {
		w.publish(from, in.topic, []byte(in.topic))
		in.await([]byte(in.topic))
	}
	for _, in := range inboxes {
		end := frame("the end of %s", in.topic)
		w.publish(from, in.topic, end)
		in.await(end)
		in.wantOnly([]byte(in.topic), end)
	}
}

func largeFrameArrivesWhole(w world) {
	from, to := w.openPair()
	in := w.subscribe(to, w.topic("large"))
	in.warmUp(from)
	large := make([]byte, 8<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(large)
	sent := bytes.Clone(large)
	w.publish(from, in.topic, sent)
	in.await(large)
	if !bytes.Equal(sent, large) {
		w.Errorf("Publish changed the slice that it was given")
	}
}

func publishingWithoutSubscriber(w world) {
	from, _ := w.openPair()
	w.publish(from, w.topic("unheard"), frame("hello?"))
}

func severalGoroutinesCanPublish(w world) {
	from, to := w.openPair()
	in := w.subscribe(to, w.topic("crowd"))
	in.warmUp(from)
	for round := range 50 {
		for _, f := range publishAtOnce(w, from, in.topic, round) {
			in.await(f)
		}
	}
}

// publishAtOnce publishes four frames from four goroutines and returns them.
func publishAtOnce(w world, from Transport, topic string, round int) [][]byte {
	w.Helper()
	frames := make([][]byte, 4)
	w.within("one of 4 concurrent calls of Publish", func() {
		var all sync.WaitGroup
		for i := range frames {
			frames[i] = frame("round %d frame %d", round, i)
			all.Go(func() {
				if err := from.Publish(context.Background(), topic, frames[i]); err != nil {
					w.Errorf("concurrent Publish: %v", err)
				}
			})
		}
		all.Wait()
	})
	return frames
}

// subscribersComeAndGo has frames published on a topic whose subscriptions open and close all the time.
// What a short-lived subscriber gets is left open; a steady one misses nothing.
func subscribersComeAndGo(w world) {
	from, to := w.openPair()
	steady := w.subscribe(to, w.topic("steady"))
	busy := w.topic("busy")
	steady.warmUp(from)

	for round := range 50 {
		var comers sync.WaitGroup
		for range 3 {
			comers.Go(func() {
				for range 10 { // an end of its own: in fake time, endless activity would stop the clock
					comeAndGo(w, to, busy)
				}
			})
		}
		publishAtOnce(w, from, busy, round)
		frames := publishAtOnce(w, from, steady.topic, round)
		w.within("a Subscribe, or the end of a subscription,", comers.Wait)
		for _, f := range frames {
			steady.await(f)
		}
	}
}

// comeAndGo opens a subscription, ends it and reads to the end.
func comeAndGo(w world, to Transport, topic string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	frames, err := to.Subscribe(ctx, topic)
	switch {
	case isTopicInUse(err):
		return
	case err != nil:
		w.Errorf("Subscribe while others publish: %v", err)
		return
	}
	cancel()
	for range frames { // only the end matters
	}
}

// idleSubscriberHoldsUpNobody publishes more than any reasonable queue holds to a subscriber that never
// reads. Its frames may be lost, by an error too; nothing may wait for it.
func idleSubscriberHoldsUpNobody(w world) {
	from, to := w.openPair()
	idle, awake := w.subscribe(to, w.topic("idle")), w.subscribe(to, w.topic("awake"))
	idle.warmUp(from)
	awake.warmUp(from)
	neighbour := w.subscribeAgain(to, idle.topic) // reads what idle does not
	if neighbour != nil {
		neighbour.warmUp(from)
	}
	for i := range 3000 {
		f := frame("frame %d", i)
		ctx, cancel := context.WithTimeout(context.Background(), w.patience)
		var err error
		w.within("Publish to a subscriber that does not read", func() { err = from.Publish(ctx, idle.topic, f) })
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			w.Fatalf("frame %d: Publish waited %v for a subscriber that does not read", i, w.patience)
		}
		if neighbour != nil && err == nil {
			neighbour.await(f)
		}
		w.publish(from, awake.topic, f)
		awake.await(f)
	}
}
