package transporttest

import (
	"context"
	"errors"
	"fmt"

	"github.com/podshare/podshare"
)

// The rules about scans, and about what ends.

func scanBringsEveryRow(w tableWorld) {
	w.wantRows(nil)
	const n = 5000
	w.fill(n, "head")
	want := map[string][2]string{}
	for i := range n {
		want[fmt.Sprint("k", i)] = [2]string{"head", "body"}
	}
	w.wantRows(want)
}

// scanBringsChangingRows changes all rows between the steps of a scan, adds some and removes those.
func scanBringsChangingRows(w tableWorld) {
	const n = 3000
	w.fill(n, "head 0")
	seen := map[string]bool{}
	steps := 0
	err := w.ScanSnapshot(context.Background(), w.topic, podshare.SnapshotEntries, func(rows []podshare.SnapshotRow) error {
		for _, r := range rows {
			seen[r.Key] = true
		}
		if steps++; steps > 5 {
			return nil // enough: a table that grows for ever has no end
		}
		changes := make([]podshare.RowChange, 0, 2*n)
		for i := range n {
			changes = append(changes, entry(fmt.Sprint("k", i), fmt.Sprint("head ", steps-1), fmt.Sprint("head ", steps), "body"))
			extra := entry(fmt.Sprint("extra ", i), "", "extra", "body")
			if steps%2 == 0 {
				extra = entry(fmt.Sprint("extra ", i), "extra", "", "")
			}
			changes = append(changes, extra)
		}
		w.mustSwap(changes...)
		return nil
	})
	if err != nil {
		w.Fatalf("ScanSnapshot: %v", err)
	}
	missed := 0
	for i := range n {
		if !seen[fmt.Sprint("k", i)] {
			missed++
		}
	}
	if missed > 0 {
		w.Errorf("a scan missed %d of %d rows that were there all the time and changed meanwhile", missed, n)
	}
}

func scanEndsWithError(w tableWorld) {
	w.fill(2000, "head")
	enough := errors.New("enough")
	calls := 0
	err := w.ScanSnapshot(context.Background(), w.topic, podshare.SnapshotEntries, func([]podshare.SnapshotRow) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) {
		w.Errorf("ScanSnapshot returned %v, want the error of its function", err)
	}
	if calls != 1 {
		w.Errorf("ScanSnapshot called a function that had failed, %d times in all", calls)
	}
}

func scanLeavesOthersAlone(w tableWorld) {
	w.fill(2000, "head")
	err := w.ScanSnapshot(context.Background(), w.topic, podshare.SnapshotEntries, func([]podshare.SnapshotRow) error {
		w.wantHead("k0", "head") // within patience, though the scan is not over
		return nil
	})
	if err != nil {
		w.Fatalf("ScanSnapshot: %v", err)
	}
}

func closedTableReturnsErrors(w tableWorld) {
	w.within("Close", func() { _ = w.Close() })
	w.rowCallsFail(context.Background(), "on a closed transport")
}

func endedContextChangesNoRow(w tableWorld) {
	w.mustSwap(entry("key", "", "head", "body"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.rowCallsFail(ctx, "with an ended context")
	w.wantHead("key", "head")
}

func (w tableWorld) rowCallsFail(ctx context.Context, when string) {
	w.Helper()
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"SnapshotHeads", func() error {
			_, err := w.SnapshotHeads(ctx, w.topic, []podshare.RowName{{Section: podshare.SnapshotEntries, Key: "key"}})
			return err
		}},
		{"SwapSnapshotRows", func() error {
			_, err := w.SwapSnapshotRows(ctx, w.topic, []podshare.RowChange{entry("key", "head", "too late", "")})
			return err
		}},
		{"ScanSnapshot", func() error {
			return w.ScanSnapshot(ctx, w.topic, podshare.SnapshotEntries, func([]podshare.SnapshotRow) error { return nil })
		}},
	} {
		var err error
		w.within(call.name, func() { err = call.do() })
		if err == nil {
			w.Errorf("%s %s returned no error", call.name, when)
		}
	}
}
