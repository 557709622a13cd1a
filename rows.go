package podshare

import (
	"errors"
	"maps"
	"slices"

	"github.com/podshare/podshare/internal/wire"
)

// A stored table (see SnapshotTable) is a replica at rest: a vector, and for each key the writes that it holds. Merging
// a store into it follows the one rule of all merging: of every dot the further state remains, unseen, live or dead. A
// table covers what its vector covers; what it covers and does not hold is dead.
//
//	 stored  \ the store: | holds d          | covers d, not held | has not seen d
//	 holds d              | stays, dead wins | goes               | stays
//	 covers d, not held   | not added        | -                  | -
//	 has not seen d       | is added         | vector covers it   | -
//
// The table of a key may hold two writes of which every store knows that one replaced the other, if two stores merged
// what each had made: whoever loads it orders them anew, and the next write of the key removes both.

// tableVector is what a table or a store has seen.
type tableVector map[wire.ID]*tableOrigin

// tableOrigin is what a table or a store has seen of one origin.
type tableOrigin struct {
	seen seqSet
	mark uint64
	row  []byte // the head of its row; nil for one that is not stored

	damaged bool // the row is, so nothing is known
}

func (v tableVector) covers(id wire.ID, seq uint64) bool {
	o := v[id]
	return o != nil && o.seen.covers(seq)
}

// includes reports whether v covers all that o covers, and knows of all that was collected.
func (v tableVector) includes(id wire.ID, o *tableOrigin) bool {
	if mine := v[id]; mine != nil {
		return mine.mark >= o.mark && mine.seen.includes(&o.seen)
	}
	return o.mark == 0 && o.seen.head == 0 && len(o.seen.above()) == 0
}

// joined returns v with all that o covers besides. Both stay as they are.
func (v tableVector) joined(o tableVector) tableVector {
	if len(o) == 0 {
		return v
	}
	all := maps.Clone(v)
	if all == nil {
		all = tableVector{}
	}
	for id, theirs := range o {
		next := &tableOrigin{seen: theirs.seen.clone(), mark: theirs.mark}
		if mine := v[id]; mine != nil {
			next.seen.join(&mine.seen, nil)
			next.mark, next.row = max(next.mark, mine.mark), mine.row
		}
		all[id] = next
	}
	return all
}

// rowCapture is the state of a replica at one moment, as far as it is to be merged into a table. What it holds is
// immutable, so it needs no lock.
type rowCapture[T any] struct {
	*snapshotWriter[T] // of the moment; its view is nil
	seen               tableVector
	forgotten          []wire.ID       // origins that the replica has forgotten
	rows               []keyState[T]   // of the keys to merge
	failed             map[string]bool // keys of writes that cannot be encoded
	parts              []partView[T]   // scratch
	next               []rowPart[T]    // scratch
}

// keyState is what a replica holds of a key; nil: nothing.
type keyState[T any] struct {
	key   string
	entry *entry[T]
	quiet bool // it changed without a new write
}

// captureRows fixes the state of the given keys, or of all that are held and the given ones.
func (r *replica[T]) captureRows(at instant, keys map[string]bool, all bool) *rowCapture[T] {
	c := &rowCapture[T]{snapshotWriter: r.captureSnapshot(at), seen: tableVector{}, failed: map[string]bool{}}
	for i, st := range r.origins.list {
		if st.forgotten {
			c.forgotten = append(c.forgotten, st.id)
		} else if v := &c.vector[i]; !unseen(*v) {
			c.seen[v.ID] = &tableOrigin{seen: seqSet{head: v.Head, spans: v.Spans}, mark: v.Mark}
		}
	}
	if !all {
		c.view.Close()
		for key, quiet := range keys {
			c.rows = append(c.rows, keyState[T]{key: key, entry: r.index.Get(key), quiet: quiet})
		}
		c.sort()
	}
	return c
}

// walk lists the keys that were held at the moment of the capture, and the given ones that were not. Only a capture of
// all keys needs it.
func (c *rowCapture[T]) walk(keys map[string]bool) {
	defer c.view.Close()
	for e := c.view.Next(); e != nil; e = c.view.Next() {
		c.rows = append(c.rows, keyState[T]{e.Key, e, true})
		delete(keys, e.Key)
	}
	for key := range keys {
		c.rows = append(c.rows, keyState[T]{key, nil, true})
	}
	c.sort()
}

// sort puts the rows in the order of their keys: what a merge does follows from the state.
func (c *rowCapture[T]) sort() {
	slices.SortFunc(c.rows, func(a, b keyState[T]) int { return compareKeys(a.key, b.key) })
}

// settled reports whether a table that covers what v covers has what a key became by a new write.
func (c *rowCapture[T]) settled(row *keyState[T], v tableVector) bool {
	if row.quiet || row.entry == nil {
		return false
	}
	for p := range c.replica.parts(row.entry) {
		if !v.covers(c.origins[p.origin].id, p.seq) {
			return false
		}
	}
	return true
}

// rowPart is a write that a merged row holds: by the head of the stored row, or ours.
type rowPart[T any] struct {
	wire.RowPart
	mine *partView[T] // nil: the stored one
}

// errBodyNeeded is returned by join when a row keeps a write that only the stored row holds: give it the body.
var errBodyNeeded = errors.New("podshare: the stored row is needed whole")

// joined is what becomes of a row.
type joined struct {
	changed    bool
	head, body []byte    // no head: it goes
	added      []wire.ID // origins of the writes that are new to the table
	keepsDead  bool      // it holds what is dead, until the vector says so
	damaged    bool      // the stored row is not what was stored; what it held is lost
}

// join merges what the store holds of a key into its stored row, head nil for none. Of a table that has not seen what
// the store has, add keeps what the store knows to be dead beside what it holds: the vector follows later.
func (c *rowCapture[T]) join(row *keyState[T], stored *SnapshotRow, table tableVector, add bool) (out joined, err error) {
	c.parts, c.next = c.parts[:0], c.next[:0]
	if row.entry != nil {
		for p := range c.replica.parts(row.entry) {
			c.parts = append(c.parts, p)
		}
	}
	var held []wire.RowPart
	if stored.Head != nil {
		if held, err = wire.ParseRowHead(nil, unsafeBytes(row.key), stored.Head); err != nil {
			held, out.changed, out.damaged = nil, true, true
		}
	}
	bodyNeeded := false
	taken := make([]bool, len(c.parts))
	for _, h := range held {
		p := c.find(h.ID, h.Seq)
		dead := p < 0 && c.seen.covers(h.ID, h.Seq)
		switch {
		case dead && !(add && len(c.parts) > 0):
			out.changed = true
		case p < 0 || h.State != 0 && !c.parts[p].dead():
			c.next = append(c.next, rowPart[T]{RowPart: h})
			bodyNeeded, out.keepsDead = true, out.keepsDead || dead
		default:
			c.next = append(c.next, c.part(p))
			out.changed = out.changed || h.State == 0 && c.parts[p].dead()
		}
		if p >= 0 {
			taken[p] = true
		}
	}
	for p := range c.parts {
		if part := c.part(p); !taken[p] && !table.covers(part.ID, part.Seq) {
			c.next = append(c.next, part)
			out.added = append(out.added, part.ID)
			out.changed = true
		}
	}
	switch {
	case !out.changed:
		return out, nil
	case bodyNeeded && stored.Body == nil:
		return out, errBodyNeeded
	case len(c.next) == 0:
		return out, nil
	}
	return c.encodeRow(row.key, stored, out)
}

// find returns the index of the store's write with a dot, or -1.
func (c *rowCapture[T]) find(id wire.ID, seq uint64) int {
	for i := range c.parts {
		if p := &c.parts[i]; p.seq == seq && c.origins[p.origin].id == id {
			return i
		}
	}
	return -1
}

func (c *rowCapture[T]) part(i int) rowPart[T] {
	p := &c.parts[i]
	return rowPart[T]{wire.RowPart{ID: c.origins[p.origin].id, Seq: p.seq, State: p.flags & flagsDead}, p}
}

// encodeRow writes the row of c.next. A write that cannot be encoded is left out, and is not to be covered.
func (c *rowCapture[T]) encodeRow(key string, stored *SnapshotRow, out joined) (joined, error) {
	var old wire.Snapshot
	var from wire.Header
	if stored.Body != nil {
		h, body, err := wire.Open(stored.Body, wire.Limits{MaxFrame: maxSnapshot})
		if err == nil {
			from, err = h, old.Parse(body)
		}
		out.damaged = out.damaged || err != nil
	}
	c.records.Clear()
	heads := make([]wire.RowPart, 0, len(c.next))
	for i := range c.next {
		p := &c.next[i]
		if p.mine == nil {
			if !c.carryOver(&p.RowPart, &from, &old.RecordList) {
				out.damaged = true
				continue
			}
			heads = append(heads, p.RowPart)
			continue
		}
		encoded, err := c.encodedLive(p.mine)
		if err != nil {
			c.errs = append(c.errs, &KeyError{Key: key, Err: err})
			c.leaveOut(key, p.mine)
			continue
		}
		c.add(unsafeBytes(key), p.mine.write, p.mine.deadline, p.mine.batch, p.mine.replaced, encoded)
		heads = append(heads, p.RowPart)
	}
	if len(heads) == 0 {
		return out, nil
	}
	out.head = wire.AppendRowHead(nil, unsafeBytes(key), heads)
	out.body = wire.AppendSnapshot(nil, &c.header, &wire.Snapshot{Partial: true}, &c.records, true)
	return out, nil
}

func (c *rowCapture[T]) encodedLive(p *partView[T]) ([]byte, error) {
	if p.dead() {
		return nil, nil
	}
	return c.replica.encodedPart(p)
}

// leaveOut has the table not cover a write, for absence would say that it is dead.
func (c *rowCapture[T]) leaveOut(key string, p *partView[T]) {
	c.uncover(p.origin, p.run())
	v := &c.vector[p.origin]
	c.seen[v.ID].seen = seqSet{head: v.Head, spans: v.Spans}
	c.failed[key] = true
}

// carryOver adds a record of the stored row. It reports whether it was there.
func (c *rowCapture[T]) carryOver(p *wire.RowPart, from *wire.Header, old *wire.RecordList) bool {
	origin := func(i uint32) wire.Origin {
		if i == 0 {
			return wire.Origin{Node: from.Node, Boot: from.Boot}
		}
		return old.Origins[i-1]
	}
	for i := range old.Records {
		rec := old.Records[i]
		o := origin(rec.Origin)
		if rec.Seq != p.Seq || o.ID() != p.ID {
			continue
		}
		rec.Origin = c.records.Index(o.Node, o.Boot)
		replaced := make([]wire.Dot, 0, len(rec.Replaced))
		for _, d := range rec.Replaced {
			o := origin(d.Origin)
			replaced = append(replaced, wire.Dot{Origin: c.records.Index(o.Node, o.Boot), Seq: d.Seq})
		}
		rec.Replaced = replaced
		c.records.Add(&rec)
		return true
	}
	return false
}
