package transporttest

import (
	"context"
	"fmt"

	"github.com/podshare/podshare"
)

// tableWorld is what a rule about rows has at hand: a transport, and a topic that nobody used before.
type tableWorld struct {
	world
	Table
	topic string
}

// entry is a row of the entries, as a change from was.
func entry(key, was, head, body string) podshare.RowChange {
	return change(podshare.SnapshotEntries, key, was, head, body)
}

// change is a change of a row; "" for a head is none.
func change(section podshare.SnapshotSection, key, was, head, body string) podshare.RowChange {
	c := podshare.RowChange{RowName: podshare.RowName{Section: section, Key: key}}
	if was != "" {
		c.Was = []byte(was)
	}
	if head != "" {
		c.Head, c.Body = []byte(head), []byte(body)
	}
	return c
}

// swap makes changes, which must neither fail nor hang, and returns whether they were made.
func (w tableWorld) swap(changes ...podshare.RowChange) (made bool) {
	w.Helper()
	var err error
	w.within("SwapSnapshotRows", func() { made, err = w.SwapSnapshotRows(context.Background(), w.topic, changes) })
	if err != nil {
		w.Fatalf("SwapSnapshotRows of %d rows: %v", len(changes), err)
	}
	return made
}

// mustSwap makes changes that must be made.
func (w tableWorld) mustSwap(changes ...podshare.RowChange) {
	w.Helper()
	if !w.swap(changes...) {
		w.Fatalf("SwapSnapshotRows of %d rows returned false, though every head was the expected one", len(changes))
	}
}

// heads returns the heads of rows of the entries, "" for a missing one.
func (w tableWorld) heads(keys ...string) []string {
	w.Helper()
	names := make([]podshare.RowName, 0, len(keys))
	for _, key := range keys {
		names = append(names, podshare.RowName{Section: podshare.SnapshotEntries, Key: key})
	}
	return w.headsOf(names...)
}

func (w tableWorld) headsOf(names ...podshare.RowName) []string {
	w.Helper()
	var heads [][]byte
	var err error
	w.within("SnapshotHeads", func() { heads, err = w.SnapshotHeads(context.Background(), w.topic, names) })
	switch {
	case err != nil:
		w.Fatalf("SnapshotHeads of %d rows: %v", len(names), err)
	case len(heads) != len(names):
		w.Fatalf("SnapshotHeads of %d rows returned %d heads", len(names), len(heads))
	}
	texts := make([]string, 0, len(heads))
	for i, head := range heads {
		if head != nil && len(head) == 0 {
			w.Errorf("SnapshotHeads returned an empty head for row %.60q; a row that is not there has the head nil", names[i].Key)
		}
		texts = append(texts, string(head))
	}
	return texts
}

func (w tableWorld) wantHead(key, want string) {
	w.Helper()
	if got := w.heads(key)[0]; got != want {
		w.Errorf("the head of row %.60q is %s, want %s", key, brief(got), brief(want))
	}
}

// rows returns what a scan of the section brings, as head and body by key.
func (w tableWorld) rows(section podshare.SnapshotSection) map[string][2]string {
	w.Helper()
	rows := map[string][2]string{}
	var err error
	w.within("ScanSnapshot", func() {
		err = w.ScanSnapshot(context.Background(), w.topic, section, func(step []podshare.SnapshotRow) error {
			for _, r := range step {
				rows[r.Key] = [2]string{string(r.Head), string(r.Body)}
			}
			return nil
		})
	})
	if err != nil {
		w.Fatalf("ScanSnapshot(%q): %v", section, err)
	}
	return rows
}

// wantRows fails if a scan of the entries brings other rows.
func (w tableWorld) wantRows(want map[string][2]string) {
	w.Helper()
	got := w.rows(podshare.SnapshotEntries)
	for key, row := range want {
		switch g, ok := got[key]; {
		case !ok:
			w.Errorf("a scan did not bring row %.60q", key)
		case g != row:
			w.Errorf("row %.60q came as head %s, body %s; want head %s, body %s", key, brief(g[0]), brief(g[1]), brief(row[0]), brief(row[1]))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			w.Errorf("a scan brought row %.60q, which is not there", key)
		}
	}
}

// fill makes n rows k0, k1, … of the entries with the given head.
func (w tableWorld) fill(n int, head string) {
	w.Helper()
	changes := make([]podshare.RowChange, 0, n)
	for i := range n {
		changes = append(changes, entry(fmt.Sprint("k", i), "", head, "body"))
	}
	w.mustSwap(changes...)
}
