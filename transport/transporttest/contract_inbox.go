package transporttest

import (
	"context"
	"strings"
	"time"
)

// probe begins the frames by which warmUp finds out whether a subscription works.
const probe = "transporttest probe of "

// inbox reads one subscription and remembers what came. It has no goroutine: frames wait in the transport's
// queue until the rule looks.
type inbox struct {
	w      world
	topic  string
	frames <-chan []byte
	cancel context.CancelFunc // of the subscription's ctx
	seen   map[string]bool    // all frames but probes
	warm   bool               // a probe came
}

// warmUp publishes probes until one has arrived. From then on the subscription is established, and what
// is published must come.
func (in *inbox) warmUp(from Transport) {
	in.w.Helper()
	deadline := time.After(in.w.patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		in.w.publish(from, in.topic, []byte(probe+in.topic))
		for retry := false; !retry && !in.warm; {
			select {
			case f, open := <-in.frames:
				in.take(f, open)
			case <-again.C:
				retry = true
			case <-deadline:
				in.w.Fatalf("a subscriber of topic %q received nothing within %v, though frames were published over and over", in.topic, in.w.patience)
			}
		}
		if in.warm {
			return
		}
	}
}

// await reads until want has come.
func (in *inbox) await(want []byte) {
	in.w.Helper()
	deadline := time.After(in.w.patience)
	for !in.seen[string(want)] {
		select {
		case f, open := <-in.frames:
			in.take(f, open)
		case <-deadline:
			in.w.Fatalf("a published frame did not reach a subscriber of topic %q within %v: want %s, got %s",
				in.topic, in.w.patience, brief(string(want)), in.summary())
		}
	}
}

// awaitEnd reads until the channel is closed.
func (in *inbox) awaitEnd(because string) {
	in.w.Helper()
	deadline := time.After(in.w.patience)
	for {
		select {
		case _, open := <-in.frames:
			if !open {
				return
			}
		case <-deadline:
			in.w.Fatalf("the channel of a subscription to %q was not closed within %v after %s", in.topic, in.w.patience, because)
		}
	}
}

// wantOnly fails if a frame came that is not listed.
func (in *inbox) wantOnly(frames ...[]byte) {
	in.w.Helper()
	allowed := map[string]bool{}
	for _, f := range frames {
		allowed[string(f)] = true
	}
	for f := range in.seen {
		if !allowed[f] {
			in.w.Errorf("a subscriber of topic %q received a frame that was never published there: %s", in.topic, brief(f))
		}
	}
}

func (in *inbox) take(f []byte, open bool) {
	in.w.Helper()
	if !open {
		in.w.Fatalf("the channel of a subscription to %q was closed, though neither its context ended nor its transport closed", in.topic)
	}
	if string(f) == probe+in.topic {
		in.warm = true
		return
	}
	in.seen[string(f)] = true
}

func (in *inbox) summary() string {
	if len(in.seen) == 0 {
		return "nothing"
	}
	var got []string
	for f := range in.seen {
		got = append(got, brief(f))
	}
	return strings.Join(got, ", ")
}
