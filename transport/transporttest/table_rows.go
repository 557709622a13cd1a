package transporttest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/podshare/podshare"
)

// The rules about reading and changing rows.

func missingRowHasNoHead(w tableWorld) {
	w.wantHead("missing", "")
	if heads := w.headsOf(); len(heads) != 0 {
		w.Errorf("SnapshotHeads of no rows returned %d heads", len(heads))
	}
	w.mustSwap() // no changes are all made
}

func headsComeInOrder(w tableWorld) {
	w.mustSwap(
		entry("a", "", "head of a", ""),
		change(podshare.SnapshotVector, "b", "", "head of b", ""),
		entry("c", "", "head of c", ""),
	)
	got := w.headsOf(
		podshare.RowName{Section: podshare.SnapshotEntries, Key: "c"},
		podshare.RowName{Section: podshare.SnapshotVector, Key: "missing"},
		podshare.RowName{Section: podshare.SnapshotVector, Key: "b"},
		podshare.RowName{Section: podshare.SnapshotEntries, Key: "a"},
		podshare.RowName{Section: podshare.SnapshotEntries, Key: "c"},
	)
	want := []string{"head of c", "", "head of b", "head of a", "head of c"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("the heads are %q, want %q", got, want)
	}
}

func rowComesBackAsStored(w tableWorld) {
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	all := string(binary)
	want := map[string][2]string{
		"plain":                 {"head", "body"},
		"no body":               {"head", ""},
		"long head":             {strings.Repeat(all, 2), all},
		"long body":             {all, strings.Repeat(all, 1<<13)}, // 2 MiB
		strings.Repeat(all, 16): {"head of a key of 4 KiB", "body"},
		"\x00":                  {"\x00", "\x00"},
		"":                      {"head of an empty key", "body"},
	}
	for _, odd := range oddTopics() {
		want[odd] = [2]string{odd, odd}
	}
	var changes []podshare.RowChange
	for key, row := range want {
		changes = append(changes, entry(key, "", row[0], row[1]))
	}
	w.mustSwap(changes...)
	w.wantRows(want)
	for key, row := range want {
		w.wantHead(key, row[0])
	}
}

func topicsRowsAreItsOwn(w tableWorld) {
	w.mustSwap(entry("key", "", "head", "body"))
	other := w
	for _, odd := range oddTopics() {
		other.topic = w.topic + odd
		other.wantHead("key", "")
		other.mustSwap(entry("key", "", odd, ""))
	}
	for _, odd := range oddTopics() {
		other.topic = w.topic + odd
		other.wantRows(map[string][2]string{"key": {odd, ""}})
	}
	w.wantRows(map[string][2]string{"key": {"head", "body"}})
}

func sectionsAreSeparate(w tableWorld) {
	w.mustSwap(entry("key", "", "of the entries", "body"), change(podshare.SnapshotVector, "key", "", "of the vector", ""))
	w.wantRows(map[string][2]string{"key": {"of the entries", "body"}})
	if got := w.rows(podshare.SnapshotVector); len(got) != 1 || got["key"] != [2]string{"of the vector", ""} {
		w.Errorf("a scan of the vector brought %q", got)
	}
	w.mustSwap(change(podshare.SnapshotVector, "key", "of the vector", "", ""))
	w.wantHead("key", "of the entries")
}

func rowsStandBesideSnapshot(w tableWorld) {
	w.mustSwap(entry("key", "", "head", "body"))
	if got := w.fetch(w.Table, w.topic); got != nil {
		w.Errorf("FetchSnapshot of a topic that only has rows returned %s, want nil", brief(string(got)))
	}
	w.store(w.Table, w.topic, frame("snapshot"))
	w.wantRows(map[string][2]string{"key": {"head", "body"}})
	w.awaitSnapshot(w.Table, w.topic, frame("snapshot"))
}

func changeWithoutHeadRemoves(w tableWorld) {
	w.mustSwap(entry("gone", "", "head", "body"), entry("stays", "", "head", "body"))
	w.mustSwap(entry("gone", "head", "", ""), entry("never was", "", "", ""))
	w.wantRows(map[string][2]string{"stays": {"head", "body"}})
	w.wantHead("gone", "")
	w.mustSwap(entry("stays", "head", "", ""))
	w.wantRows(nil)
	w.mustSwap(entry("stays", "", "again", ""))
	w.wantRows(map[string][2]string{"stays": {"again", ""}})
}

// changeToSameHeadLeaves: stores use it to make a change depend on rows that they leave alone, and name no body then.
func changeToSameHeadLeaves(w tableWorld) {
	w.mustSwap(entry("read", "", "head", "body"))
	w.mustSwap(entry("read", "head", "head", ""), entry("written", "", "head", "body"))
	w.wantRows(map[string][2]string{"read": {"head", "body"}, "written": {"head", "body"}})
	if w.swap(entry("read", "stale", "stale", ""), entry("written", "head", "new", "body")) {
		w.Errorf("a change was made that depended on a head which the row does not have")
	}
	w.wantHead("written", "head")
}

func oneWrongHeadChangesNothing(w tableWorld) {
	w.mustSwap(entry("a", "", "a1", "body"), entry("b", "", "b1", "body"), entry("c", "", "c1", "body"))
	before := w.rows(podshare.SnapshotEntries)
	for name, wrong := range map[string]podshare.RowChange{
		"another head":             entry("b", "b0", "b2", "new"),
		"a longer head":            entry("b", "b1 ", "b2", "new"),
		"a shorter head":           entry("b", "b", "b2", "new"),
		"no row, but there is one": entry("b", "", "b2", "new"),
		"a row that is not there":  entry("missing", "head", "new", "new"),
		"removing another head":    entry("b", "b0", "", ""),
	} {
		vector := change(podshare.SnapshotVector, "v", "", "new", "")
		if w.swap(vector, entry("a", "a1", "a2", "new"), wrong, entry("c", "c1", "", ""), entry("d", "", "d1", "new")) {
			w.Errorf("%s: SwapSnapshotRows returned true", name)
		}
		w.wantRows(before)
		if got := w.rows(podshare.SnapshotVector); len(got) != 0 {
			w.Errorf("%s: the vector has rows: %q", name, got)
		}
	}
}

func oneOfConcurrentChangesIsMade(w tableWorld) {
	const rivals = 8
	was := ""
	for round := range 20 {
		var winners atomic.Int64
		var winner atomic.Value
		w.within("one of several concurrent calls of SwapSnapshotRows", func() {
			var all sync.WaitGroup
			for i := range rivals {
				head := fmt.Sprintf("round %d rival %d", round, i)
				all.Go(func() {
					made, err := w.SwapSnapshotRows(context.Background(), w.topic, []podshare.RowChange{entry("key", was, head, "body")})
					if err != nil {
						w.Errorf("concurrent SwapSnapshotRows: %v", err)
					}
					if made {
						winners.Add(1)
						winner.Store(head)
					}
				})
			}
			all.Wait()
		})
		if n := winners.Load(); n != 1 {
			w.Fatalf("of %d concurrent changes of one row from one head, %d were made, want 1", rivals, n)
		}
		was, _ = winner.Load().(string)
		w.wantHead("key", was)
	}
}

// concurrentChangesAreAtomic changes two rows together from several goroutines; whoever looks never sees one
// changed alone.
func concurrentChangesAreAtomic(w tableWorld) {
	w.mustSwap(entry("a", "", "0", ""), entry("b", "", "0", ""))
	w.within("one of several concurrent calls for rows", func() {
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				for n := range 30 {
					head := w.heads("a")[0]
					next := fmt.Sprintf("%d of %d", n, i)
					w.swap(entry("a", head, next, ""), entry("b", head, next, "")) // only one of the rivals succeeds
				}
			})
		}
		for range 100 { // an end of its own: in fake time, endless activity would stop the clock
			if h := w.heads("a", "b"); h[0] != h[1] {
				w.Errorf("two rows that always change together have the heads %q", h)
			}
		}
		all.Wait()
	})
}

func manyRowsChange(w tableWorld) {
	const n = 20_000 // more than one command of any database takes
	w.fill(n, "head")
	keys := make([]string, 0, n)
	for i := range n {
		keys = append(keys, fmt.Sprint("k", i))
	}
	for i, head := range w.heads(keys...) {
		if head != "head" {
			w.Fatalf("the head of row %d of %d is %s", i, n, brief(head))
		}
	}
	removed := make([]podshare.RowChange, 0, n)
	for _, key := range keys[1:] {
		removed = append(removed, entry(key, "head", "", ""))
	}
	if w.swap(append(removed, entry("k0", "wrong", "", ""))...) {
		w.Errorf("%d rows were removed though the last head was wrong", n)
	}
	w.mustSwap(removed...)
	w.wantRows(map[string][2]string{"k0": {"head", "body"}})
}

func rowSlicesBelongToCaller(w tableWorld) {
	given := entry("key", "", "head", "body")
	w.mustSwap(given)
	clear(given.Head)
	clear(given.Body)
	want := map[string][2]string{"key": {"head", "body"}}
	w.wantRows(want)

	names := []podshare.RowName{{Section: podshare.SnapshotEntries, Key: "key"}}
	heads, err := w.SnapshotHeads(context.Background(), w.topic, names)
	if err != nil || !bytes.Equal(heads[0], []byte("head")) {
		w.Fatalf("SnapshotHeads: %q, %v", heads, err)
	}
	clear(heads[0])
	err = w.ScanSnapshot(context.Background(), w.topic, podshare.SnapshotEntries, func(rows []podshare.SnapshotRow) error {
		for _, r := range rows {
			clear(r.Head)
			clear(r.Body)
		}
		return nil
	})
	if err != nil {
		w.Fatalf("ScanSnapshot: %v", err)
	}
	w.wantRows(want)
}
