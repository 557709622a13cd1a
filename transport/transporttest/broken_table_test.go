package transporttest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// brokenTable is a MemoryTransport of which functions replace parts; a nil one replaces nothing.
type brokenTable struct {
	*memory
	heads func(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error)
	swap  func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error)
	scan  func(ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error) error
	fetch func(ctx context.Context, topic string) ([]byte, error)
	close func() error
}

func (b *brokenTable) SnapshotHeads(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
	if b.heads != nil {
		return b.heads(ctx, topic, names)
	}
	return b.memory.SnapshotHeads(ctx, topic, names)
}

func (b *brokenTable) SwapSnapshotRows(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
	if b.swap != nil {
		return b.swap(ctx, topic, changes)
	}
	return b.memory.SwapSnapshotRows(ctx, topic, changes)
}

func (b *brokenTable) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error,
) error {
	if b.scan != nil {
		return b.scan(ctx, topic, section, fn)
	}
	return b.memory.ScanSnapshot(ctx, topic, section, fn)
}

func (b *brokenTable) FetchSnapshot(ctx context.Context, topic string) ([]byte, error) {
	if b.fetch != nil {
		return b.fetch(ctx, topic)
	}
	return b.memory.FetchSnapshot(ctx, topic)
}

func (b *brokenTable) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.memory.Close()
}

// changing gives every change to a function before it is made.
func changing(b *brokenTable, fn func(c *podshare.RowChange)) {
	b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
		changes = slices.Clone(changes)
		for i := range changes {
			fn(&changes[i])
		}
		return b.memory.SwapSnapshotRows(ctx, topic, changes)
	}
}

// oneByOne makes changes one after the other, and stops before one that cannot be made.
func oneByOne(b *brokenTable) {
	b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
		for _, c := range changes {
			if made, err := b.memory.SwapSnapshotRows(ctx, topic, []podshare.RowChange{c}); !made || err != nil {
				return made, err
			}
			time.Sleep(time.Millisecond) // of fake time
		}
		return true, nil
	}
}

// hasty compares first and writes later, whatever happened in between.
func hasty(b *brokenTable) {
	b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
		for i, c := range changes {
			heads, err := b.memory.SnapshotHeads(ctx, topic, []podshare.RowName{c.RowName})
			if err != nil || !bytes.Equal(heads[0], changes[i].Was) {
				return false, err
			}
		}
		time.Sleep(time.Millisecond) // of fake time
		changes = slices.Clone(changes)
		for i, c := range changes {
			heads, err := b.memory.SnapshotHeads(ctx, topic, []podshare.RowName{c.RowName})
			if err != nil {
				return false, err
			}
			changes[i].Was = heads[0]
		}
		return b.memory.SwapSnapshotRows(ctx, topic, changes)
	}
}

// filtering leaves out of each step of a scan what keep refuses.
func filtering(b *brokenTable, keep func(topic string, r podshare.SnapshotRow) bool) {
	b.scan = func(ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error) error {
		return b.memory.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
			return fn(slices.DeleteFunc(rows, func(r podshare.SnapshotRow) bool { return !keep(topic, r) }))
		})
	}
}

func TestBrokenTableBreaksItsRule(t *testing.T) {
	for _, c := range []struct {
		rule      string
		broken    func(b *brokenTable)
		complaint string
	}{
		{"a row that is not there has no head", func(b *brokenTable) {
			b.heads = func(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
				heads, err := b.memory.SnapshotHeads(ctx, topic, names)
				for i := range heads {
					heads[i] = append([]byte{}, heads[i]...)
				}
				return heads, err
			}
		}, "has the head nil"},
		{"heads come in the order of their names", func(b *brokenTable) {
			b.heads = func(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
				heads, err := b.memory.SnapshotHeads(ctx, topic, names)
				slices.SortFunc(heads, bytes.Compare)
				return heads, err
			}
		}, "the heads are"},
		{"a row comes back as it was stored", func(b *brokenTable) {
			changing(b, func(c *podshare.RowChange) { c.Body = c.Body[:min(len(c.Body), 1<<20)] })
		}, "came as"},
		{"a topic's rows are its own", func(b *brokenTable) {
			b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
				return b.memory.SwapSnapshotRows(ctx, strings.TrimSpace(topic), changes)
			}
		}, "false, though every head"},
		{"a key stands once in each section", func(b *brokenTable) {
			changing(b, func(c *podshare.RowChange) { c.Section = podshare.SnapshotEntries })
		}, "of the vector"},
		{"the rows stand beside the snapshot", func(b *brokenTable) {
			b.fetch = func(context.Context, string) ([]byte, error) { return []byte("rows"), nil }
		}, "only has rows"},
		{"a change without a head removes the row", func(b *brokenTable) {
			changing(b, func(c *podshare.RowChange) {
				if len(c.Head) == 0 {
					c.Head = c.Was
				}
			})
		}, "which is not there"},
		{"a change to the same head leaves the row", func(b *brokenTable) {
			changing(b, func(c *podshare.RowChange) {
				if bytes.Equal(c.Head, c.Was) {
					c.Head = nil
				}
			})
		}, "did not bring"},
		{"one wrong head and nothing changes", oneByOne, "came as"},
		{"of concurrent changes to one row one is made", hasty, "were made, want 1"},
		{"concurrent changes are made at once", func(b *brokenTable) {
			oneByOne(b)
			b.heads = func(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
				time.Sleep(time.Millisecond / 10) // of fake time, so that looks fall between the changes
				return b.memory.SnapshotHeads(ctx, topic, names)
			}
		}, "always change together"},
		{"many rows change in one call", func(b *brokenTable) {
			b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
				if len(changes) > 8000 {
					return false, errors.New("too many results to unpack")
				}
				return b.memory.SwapSnapshotRows(ctx, topic, changes)
			}
		}, "too many results to unpack"},
		{"row slices belong to the caller", func(b *brokenTable) {
			stored := map[string]podshare.SnapshotRow{}
			b.scan = func(ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error) error {
				return b.memory.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
					for i, r := range rows {
						if _, ok := stored[r.Key]; !ok {
							stored[r.Key] = r
						}
						rows[i] = stored[r.Key]
					}
					return fn(rows)
				})
			}
		}, "came as"},

		{"a scan brings every row of its section", func(b *brokenTable) {
			filtering(b, func(_ string, r podshare.SnapshotRow) bool { return r.Key != "k77" })
		}, "did not bring"},
		{"a scan brings rows that change meanwhile", func(b *brokenTable) {
			filtering(b, func(_ string, r podshare.SnapshotRow) bool { return string(r.Head) == "head 0" })
		}, "changed meanwhile"},
		{"a scan ends with the error of its function", func(b *brokenTable) {
			b.scan = func(ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error) error {
				return b.memory.ScanSnapshot(ctx, topic, section, func(rows []podshare.SnapshotRow) error {
					_ = fn(rows)
					return nil
				})
			}
		}, "want the error"},
		{"a scan leaves others alone", func(b *brokenTable) {
			one := make(chan struct{}, 1) // a lock; a mutex would keep fake time from passing
			b.scan = func(ctx context.Context, topic string, section podshare.SnapshotSection, fn func([]podshare.SnapshotRow) error) error {
				one <- struct{}{}
				defer func() { <-one }()
				return b.memory.ScanSnapshot(ctx, topic, section, fn)
			}
			b.heads = func(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
				one <- struct{}{}
				defer func() { <-one }()
				return b.memory.SnapshotHeads(ctx, topic, names)
			}
		}, "SnapshotHeads did not return"},
		{"a closed transport returns errors for rows", func(b *brokenTable) {
			b.close = func() error { return nil }
		}, "returned no error"},
		{"an ended context changes no row", func(b *brokenTable) {
			b.swap = func(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
				return b.memory.SwapSnapshotRows(context.WithoutCancel(ctx), topic, changes)
			}
		}, "returned no error"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			failures := strings.Join(tableFailuresOf(t, c.rule, c.broken), "\n")
			if !strings.Contains(failures, c.complaint) {
				t.Errorf("want a complaint with %q, got: %q", c.complaint, failures)
			}
			if sound := tableFailuresOf(t, c.rule, func(*brokenTable) {}); len(sound) > 0 {
				t.Errorf("complaints without reason: %q", sound)
			}
		})
	}
}

// tableFailuresOf is failuresOf for a rule about rows.
func tableFailuresOf(t *testing.T, rule string, broken func(b *brokenTable)) (failures []string) {
	t.Helper()
	i := slices.IndexFunc(tableRules(), func(r tableRule) bool { return r.name == rule })
	if i < 0 {
		t.Fatal("no such rule")
	}
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{TB: t}
		b := &brokenTable{memory: transport.NewMemoryTransport()}
		broken(b)
		rec.run(func() {
			w := world{TB: rec, patience: defaultPatience}
			w.closeLater(b)
			tableRules()[i].check(tableWorld{world: w, Table: b, topic: w.topic("table")})
		})
		failures = rec.failures
	})
	return failures
}
