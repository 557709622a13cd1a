package podshare

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/podshare/podshare/internal/wire"
)

// inbound is a received frame: parsed, its values decoded, nothing of it applied. Slices of it point into
// the frame, which belongs to it.
type inbound[T any] struct {
	frame   []byte
	size    int
	header  wire.Header
	updates []update[T] // one per record; their origins are resolved under the lock
	dots    []dot       // the arena of update.replaced

	data      wire.Data
	heartbeat wire.Heartbeat
	want      wire.Want
	list      wire.List
	have      wire.Have
	more      wire.More
	lapse     wire.Lapse
	seen      wire.Seen
}

// open parses a frame and decodes its values. It needs no lock. An error means that the whole frame is to
// be dropped; a value that cannot be taken only marks its update.
func (in *inbound[T]) open(frame []byte, c *codec[T], l *Limits) error {
	h, body, err := wire.Open(frame, wire.Limits{MaxFrame: l.FrameBytes})
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return fmt.Errorf("%w: %w: %w", ErrBadFrame, ErrTooLarge, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadFrame, err)
	}
	in.frame, in.size, in.header, in.updates = frame, len(frame), h, in.updates[:0]
	if !bytes.Equal(h.Codec, c.nameBytes) {
		return fmt.Errorf("%w: %.64q has %.64q, this store %q", ErrCodecMismatch, h.Node, h.Codec, c.nameBytes)
	}
	switch h.Kind {
	case wire.KindData:
		if err = in.data.Parse(body); err == nil {
			in.decode(&in.data.RecordList, c, l)
		}
	case wire.KindHeartbeat:
		err = in.heartbeat.Parse(body)
	case wire.KindGoodbye:
		err = (&wire.Goodbye{}).Parse(body)
	case wire.KindWant:
		err = in.want.Parse(body)
	case wire.KindList:
		err = in.list.Parse(body)
	case wire.KindHave:
		if err = in.have.Parse(body); err == nil {
			in.decode(&in.have.RecordList, c, l)
		}
	case wire.KindMore:
		err = in.more.Parse(body)
	case wire.KindLapse:
		err = in.lapse.Parse(body)
	case wire.KindAsk:
		err = (&wire.Ask{}).Parse(body)
	case wire.KindSeen:
		err = in.seen.Parse(body)
	default:
		err = errors.New("not a frame of a topic")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadFrame, err)
	}
	return nil
}

// decode makes the updates of a list of records. Origins stay frame indices until resolve.
func (in *inbound[T]) decode(list *wire.RecordList, c *codec[T], l *Limits) {
	in.updates = decodeRecords(in.updates, list, c, l)
}

func decodeRecords[T any](updates []update[T], list *wire.RecordList, c *codec[T], l *Limits) []update[T] {
	updates = slices.Grow(updates, len(list.Records))
	for i := range list.Records {
		rec := &list.Records[i]
		updates = append(updates, update[T]{
			write:    write{stamp: rec.Stamp, seq: rec.Seq, origin: origin(rec.Origin), flags: rec.Flags & flagsSent},
			key:      rec.Key,
			encoded:  rec.Value,
			deadline: rec.Deadline,
			batch:    batchRange{rec.BatchFirst, rec.BatchLen},
		})
		u := &updates[len(updates)-1]
		if u.err = l.checkKey(len(u.key)); u.err != nil || u.dead() {
			continue
		}
		if rec.Withheld {
			u.err = errWithheld
			continue
		}
		if u.err = l.checkValue(u.encoded); u.err != nil {
			continue
		}
		if u.err = c.decodeInto(&u.value, u.encoded); u.err != nil || !c.rechecks {
			continue
		}
		if again, err := c.encode(u.value); err == nil && bytes.Equal(again, u.encoded) {
			u.encoded = nil // nothing is lost by encoding it anew
		}
	}
	return updates
}

// errWithheld marks a write whose value a peer did not send.
var errWithheld = fmt.Errorf("%w: the value does not fit into a frame of the limit given", ErrTooLarge)

// resolve turns the frame indices of updates into origins of this replica.
func (r *replica[T]) resolve(from origin, in *inbound[T], list *wire.RecordList) {
	in.dots = r.resolveUpdates(in.dots[:0], from, in.updates, list)
}

// resolveUpdates appends what the updates replace to arena, and returns that.
func (r *replica[T]) resolveUpdates(arena []dot, from origin, updates []update[T], list *wire.RecordList) []dot {
	const unknown = ^origin(0)
	table := append(r.scratch.origins[:0], from)
	for range list.Origins {
		table = append(table, unknown)
	}
	r.scratch.origins = table
	resolve := func(index uint32) origin { // one that no record names is not remembered
		if table[index] == unknown {
			o := &list.Origins[index-1]
			table[index] = r.internNode(o.Node, o.Boot)
		}
		return table[index]
	}
	for i := range updates {
		u := &updates[i]
		u.origin = resolve(uint32(u.origin))
		start := len(arena)
		for _, d := range list.Records[i].Replaced {
			arena = append(arena, dot{resolve(d.Origin), d.Seq})
		}
		u.replaced = arena[start:len(arena):len(arena)]
	}
	return arena
}

// internNode returns the origin with a node name, making a string of it only if it is new.
func (r *replica[T]) internNode(node []byte, boot uint64) origin {
	id := wire.ID{Boot: boot, Node: wire.HashNode(node)}
	if o, ok := r.origins.byID[id]; ok && r.origins.list[o].node != "" {
		return o
	}
	return r.origins.intern(id, string(node))
}

// nodeBytes is the node name for frames.
func (st *originState) nodeBytes() []byte { return unsafeBytes(st.node) }

// unsafeBytes returns the bytes of s without copying them. They must not be changed.
func unsafeBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // read only

func compareKeys(a, b string) int { return strings.Compare(a, b) }
