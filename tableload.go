package podshare

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

func (t *tableSnapshot[T]) load(ctx context.Context) (unusable, err error) {
	return nil, t.scan(ctx, nil)
}

// scan merges the table into the store. It calls each, if that is not nil, with every row.
//
// The vector is read before the first row, so of what it covers only what is dead can be missing from the rows. What
// was added meanwhile is taken if the vector covers it in the end; else somebody is still adding it.
func (t *tableSnapshot[T]) scan(ctx context.Context, each func(row *SnapshotRow, damaged bool)) error {
	before, err := t.readWhole(ctx)
	if err != nil || before.foreign {
		return err
	}
	var updates []update[T]
	err = t.table.ScanSnapshot(ctx, t.topic, SnapshotEntries, func(rows []SnapshotRow) error {
		rows = slices.DeleteFunc(rows, func(row SnapshotRow) bool { return row.Key == "" }) // the twin of the table's head
		var parsed []rowRecords[T]
		for i := range rows {
			row, err := t.openRow(&rows[i])
			if each != nil {
				each(&rows[i], err != nil)
			}
			if err != nil {
				t.damaged(before, err)
				continue
			}
			parsed = append(parsed, row)
		}
		return t.host.with(func(r *replica[T], _ instant) {
			for i := range parsed {
				row := &parsed[i]
				r.resolveUpdates(nil, r.internNode(row.from.Node, row.from.Boot), row.updates, &row.list)
				updates = append(updates, row.updates...)
			}
		})
	})
	if err != nil {
		return t.wrap(err)
	}
	after, err := t.readWhole(ctx)
	if err != nil || after.foreign {
		return err
	}
	return t.host.with(func(r *replica[T], at instant) {
		r.absorbTable(at, updates, before, after)
	})
}

// rowRecords is a parsed row.
type rowRecords[T any] struct {
	from    wire.Header
	list    wire.RecordList
	updates []update[T]
}

func (t *tableSnapshot[T]) openRow(row *SnapshotRow) (parsed rowRecords[T], err error) {
	if _, err = wire.ParseRowHead(nil, unsafeBytes(row.Key), row.Head); err != nil {
		return parsed, err
	}
	var m wire.Snapshot
	var body []byte
	if parsed.from, body, err = wire.Open(row.Body, wire.Limits{MaxFrame: maxSnapshot}); err != nil {
		return parsed, err
	}
	if err = m.Parse(body); err != nil {
		return parsed, err
	}
	if !bytes.Equal(parsed.from.Codec, t.codec.nameBytes) {
		return parsed, ErrCodecMismatch
	}
	for i := range m.Records {
		if string(m.Records[i].Key) != row.Key {
			return parsed, wire.ErrCorrupt
		}
	}
	parsed.list = m.RecordList
	parsed.updates = decodeRecords(nil, &parsed.list, t.codec, t.limits)
	return parsed, nil
}

// absorbTable merges what was read of a table like a full answer. One that is lost, damaged or was rebuilt meanwhile
// testifies to no absence: what it holds is taken as if it came by frames, though a batch may be torn by what cannot be
// read.
func (r *replica[T]) absorbTable(at instant, updates []update[T], before, after *tableState) {
	lost := before.lost || !after.follows(before, nil)
	r.unstored.paused = !lost
	defer func() { r.unstored.paused = false }()
	s := adoption[T]{
		updates: slices.DeleteFunc(updates, func(u update[T]) bool {
			id := r.origins.at(u.origin).id
			return !before.counts(id, u.seq) && !after.counts(id, u.seq)
		}),
		vector: map[origin]*seqSet{}, marks: map[origin]uint64{},
	}
	if !lost {
		s.floor, s.full = before.floor, r.live+r.tombs > 0
		r.unstored.loaded = r.unstored.loaded.joined(after.vector)
		ids := slices.SortedFunc(maps.Keys(before.vector), func(a, b wire.ID) int {
			return cmp.Or(cmp.Compare(a.Boot, b.Boot), cmp.Compare(a.Node, b.Node))
		})
		for _, id := range ids {
			o := before.vector[id]
			s.addVector(&r.origins, &wire.VectorEntry{ID: id, Head: o.seen.head, Mark: o.mark, Spans: o.seen.above()})
		}
	}
	r.adopt(at, &s)
}
