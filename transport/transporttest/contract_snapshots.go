package transporttest

import (
	"bytes"
	"context"
)

// The rules about snapshots. What one transport stored may reach the other late, but never altered.

func missingSnapshotIsNil(w world) {
	_, to := w.openPair()
	if got := w.fetch(to, w.topic("missing")); got != nil {
		w.Errorf("FetchSnapshot of a topic without a snapshot returned %s, want nil", brief(string(got)))
	}
}

func snapshotIsFetchedAsStored(w world) {
	from, to := w.openPair()
	base := w.topic("")
	topics := []string{base + "one", base + "two"}
	for _, odd := range oddTopics() {
		topics = append(topics, base+odd)
	}
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	for _, topic := range topics {
		w.store(from, topic, append([]byte(topic), binary...))
	}
	for _, topic := range topics {
		w.awaitSnapshot(to, topic, append([]byte(topic), binary...))
	}
	large := bytes.Repeat(binary, 1<<15) // 8 MiB
	w.store(from, base+"large", large)
	w.awaitSnapshot(to, base+"large", large)
}

func snapshotReplaces(w world) {
	from, to := w.openPair()
	topic := w.topic("replaced")
	for _, data := range []string{"first, which is longer", "second", "third"} {
		w.store(from, topic, []byte(data))
		w.awaitSnapshot(to, topic, []byte(data), "first, which is longer", "second")
	}
}

func snapshotSlicesBelongToCaller(w world) {
	from, to := w.openPair()
	topic := w.topic("owned")
	want := []byte("as it was stored")

	given := bytes.Clone(want)
	w.store(from, topic, given)
	clear(given)
	got := w.awaitSnapshot(to, topic, want)
	clear(got)
	w.awaitSnapshot(to, topic, want)
}

// store stores a snapshot, which must neither fail nor hang.
func (w world) store(tr Transport, topic string, data []byte) {
	w.Helper()
	var err error
	w.within("Snapshot", func() { err = tr.Snapshot(context.Background(), topic, data) })
	if err != nil {
		w.Fatalf("Snapshot(%q, %d bytes): %v", topic, len(data), err)
	}
}

// fetch fetches a snapshot, which must neither fail nor hang.
func (w world) fetch(tr Transport, topic string) []byte {
	w.Helper()
	var data []byte
	var err error
	w.within("FetchSnapshot", func() { data, err = tr.FetchSnapshot(context.Background(), topic) })
	if err != nil {
		w.Fatalf("FetchSnapshot(%q): %v; a missing snapshot is nil without an error", topic, err)
	}
	return data
}

// awaitSnapshot fetches until it gets want, and returns it. Until then there may be nothing, or one of the
// earlier ones.
func (w world) awaitSnapshot(tr Transport, topic string, want []byte, earlier ...string) []byte {
	w.Helper()
	var got []byte
	w.eventually(func() bool {
		got = w.fetch(tr, topic)
		if bytes.Equal(got, want) {
			return true
		}
		known := got == nil
		for _, e := range earlier {
			known = known || string(got) == e
		}
		if !known {
			w.Fatalf("FetchSnapshot(%q) returned what was never stored: want %s, got %s", topic, brief(string(want)), brief(string(got)))
		}
		return false
	}, func() string {
		return "FetchSnapshot(" + topic + ") still returned " + brief(string(got)) + ", want " + brief(string(want))
	})
	return got
}
