package transporttest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/podshare/podshare/transport"
)

// world is what a rule has at hand: the test that it reports to, transports, and waiting with an end.
type world struct {
	testing.TB
	newTransport func() Transport
	newPair      func() (from, to Transport) // nil: newTransport in both roles
	patience     time.Duration
}

// open returns a transport that is closed with the test.
func (w world) open() Transport {
	w.Helper()
	tr := w.newTransport()
	w.closeLater(tr)
	return tr
}

// openPair returns transports for publishing and for receiving, perhaps the same one.
func (w world) openPair() (from, to Transport) {
	w.Helper()
	if w.newPair == nil {
		tr := w.open()
		return tr, tr
	}
	from, to = w.newPair()
	w.closeLater(from)
	w.closeLater(to)
	return from, to
}

func (w world) closeLater(tr Transport) {
	w.Cleanup(func() {
		w.Helper()
		w.within("Close", func() { _ = tr.Close() })
	})
}

// topic returns a name that nobody used before, not even an earlier run on the same broker.
func (w world) topic(name string) string {
	return "transporttest/" + rand.Text() + "/" + name
}

// within fails the test if fn does not return in time. fn runs on a goroutine of its own and must not end
// the test itself.
func (w world) within(what string, fn func()) {
	w.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(w.patience):
		w.Fatalf("%s did not return within %v", what, w.patience)
	}
}

// publish publishes a frame, which must neither fail nor take long.
func (w world) publish(tr Transport, topic string, frame []byte) {
	w.Helper()
	var err error
	w.within("Publish", func() { err = tr.Publish(context.Background(), topic, frame) })
	if err != nil {
		w.Fatalf("Publish(%q, %d bytes): %v", topic, len(frame), err)
	}
}

// subscribe opens a subscription that ends with the test.
func (w world) subscribe(tr Transport, topic string) *inbox {
	w.Helper()
	in, err := w.trySubscribe(tr, topic)
	if err != nil {
		w.Fatalf("Subscribe(%q): %v", topic, err)
	}
	return in
}

// subscribeAgain opens a further subscription to a topic, nil if the transport allows one only.
func (w world) subscribeAgain(tr Transport, topic string) *inbox {
	w.Helper()
	in, err := w.trySubscribe(tr, topic)
	if errors.Is(err, transport.ErrTopicInUse) {
		return nil
	}
	if err != nil {
		w.Fatalf("second Subscribe(%q): %v; a transport that allows one subscription per topic returns transport.ErrTopicInUse", topic, err)
	}
	return in
}

func (w world) trySubscribe(tr Transport, topic string) (*inbox, error) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	in := &inbox{w: w, topic: topic, cancel: cancel, seen: map[string]bool{}}
	var err error
	w.within("Subscribe", func() { in.frames, err = tr.Subscribe(ctx, topic) })
	if err == nil && in.frames == nil {
		w.Fatalf("Subscribe(%q) returned a nil channel without an error", topic)
	}
	return in, err
}

// eventually polls until ok, which has the time of patience.
func (w world) eventually(ok func() bool, complaint func() string) {
	w.Helper()
	deadline := time.After(w.patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			w.Fatalf("%s", complaint())
		}
	}
}

// frame returns a short frame that is unlike all others of its rule.
func frame(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }

// brief renders a frame for a failure message.
func brief(f string) string {
	const most = 60 // bytes
	if len(f) > most {
		return fmt.Sprintf("%q… (%d bytes)", f[:most], len(f))
	}
	return fmt.Sprintf("%q", f)
}
