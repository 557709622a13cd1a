package podshare

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare/internal/sim"
	"github.com/podshare/podshare/internal/wire"
)

// simCodec is JSON, with values that some pods cannot read.
type simCodec struct{ refuse string }

func (simCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (c simCodec) Unmarshal(b []byte, v any) error {
	if c.refuse != "" && strings.Contains(string(b), c.refuse) {
		return errors.New("undecodable")
	}
	return json.Unmarshal(b, v)
}

func (simCodec) Name() string { return "sim" }

// simMachine adapts a replica to the simulation. Values are strings, with a Merger sets of them.
type simMachine[T any] struct {
	r       *replica[T]
	c       sim.Config
	in      *inbound[T]
	shell   *Store[T]                 // its watchers
	signed  map[signature]sim.Version // of the writes that watchers are told of
	refused []*update[T]              // of the snapshot absorbed last
	table   *tableSnapshot[T]         // nil: not used yet
	wrap    func(string) T
	text    func(T) string
}

func clocks(at sim.Instant) instant { return instant{wall: at.Wall, mono: at.Mono} }

// simHash has all indices of a test binary walked in one order.
var simHash = maphash.MakeSeed()

// simMaker starts replicas with the given rules switched off.
func simMaker(off rule) sim.Maker {
	return func(c sim.Config, at sim.Instant) sim.Machine {
		if c.Merge {
			return newSimMachine(c, at, off, union,
				func(s string) []string { return []string{s} },
				func(s []string) string { return strings.Join(s, ",") })
		}
		return newSimMachine(c, at, off, nil, func(s string) string { return s }, func(s string) string { return s })
	}
}

func union(a, b []string) ([]string, error) {
	s := append(slices.Clone(a), b...)
	slices.Sort(s)
	return slices.Compact(s), nil
}

func newSimMachine[T any](c sim.Config, at sim.Instant, off rule, merge func(a, b T) (T, error),
	wrap func(string) T, text func(T) string,
) *simMachine[T] {
	limits := Limits{ValueBytes: c.MaxValue}.withDefaults()
	m := &simMachine[T]{c: c, in: new(inbound[T]), signed: map[signature]sim.Version{}, wrap: wrap, text: text}
	m.r = newReplica(replicaConfig[T]{
		node: c.Node, boot: c.Boot, codec: newCodec[T](simCodec{c.Undecodable}, merge != nil), merge: merge,
		limits: limits, tombstoneTTL: c.TombstoneTTL, maxSkew: time.Minute, lease: c.Lease,
		heartbeat: minHeartbeat, collectEvery: 5 * time.Second, seed: c.Seed, hashSeed: simHash, off: off,
	}, clocks(at))
	m.r.unstored.tracked = true
	m.shell = shell(m.r)
	m.r.out.changed = func(kind EventKind, now *entry[T], fresh bool) {
		m.sign(now)
		m.shell.dispatch(kind, now, fresh)
		e := sim.Event{Kind: simKind(kind), Key: now.Key, Version: m.version(&now.Val.write)}
		if kind == EventSet {
			e.Value = text(now.Val.value)
		}
		c.Changed(e)
	}
	return m
}

func (m *simMachine[T]) version(w *write) sim.Version {
	st := m.r.origins.at(w.origin)
	return sim.Version{
		Dot:  sim.Dot{Node: st.node, Boot: st.id.Boot, Seq: w.seq},
		Seed: w.flags&flagSeed != 0, Stamp: w.stamp, Dead: w.dead(),
	}
}

// local turns what is asked into writes, as the methods of Store do.
func (m *simMachine[T]) local(at sim.Instant, ops []sim.Op, f flags) ([]localWrite[T], error) {
	var writes []localWrite[T]
	for _, op := range ops {
		l := localWrite[T]{key: op.Key, flags: f}
		e := m.r.index.Get(op.Key)
		switch {
		case op.Delete:
			if e == nil || e.Val.dead() {
				continue
			}
			l.flags |= flagDeleted
		case op.IfAbsent:
			if _, served := m.Get(at, op.Key); served {
				continue
			}
		}
		if op.Owned {
			l.flags |= flagOwned
		}
		if op.TTL != 0 {
			l.deadline = m.Now(at) + int64(op.TTL)
		}
		if m.c.Undecodable != "" && strings.Contains(op.Value, m.c.Undecodable) {
			return nil, errors.New("not a value of this pod")
		}
		if !op.Delete {
			l.value = m.wrap(op.Value)
			var err error
			if l.encoded, err = m.r.cfg.codec.encode(l.value); err != nil {
				return nil, err
			}
			if err := m.r.cfg.limits.checkValue(l.encoded); err != nil {
				return nil, err
			}
		}
		writes = append(writes, l)
	}
	slices.SortFunc(writes, func(a, b localWrite[T]) int { return compareKeys(a.key, b.key) })
	return writes, nil
}

func (m *simMachine[T]) Write(at sim.Instant, ops []sim.Op) error {
	writes, err := m.local(at, ops, 0)
	if err != nil || len(writes) == 0 {
		return err
	}
	return m.r.writeBatch(clocks(at), writes)
}

func (m *simMachine[T]) Seed(at sim.Instant, ops []sim.Op) error {
	if m.r.live > 0 {
		return ErrSeedNonEmpty
	}
	writes, err := m.local(at, ops, flagSeed)
	if err != nil {
		return err
	}
	return m.r.seed(clocks(at), writes)
}

func (m *simMachine[T]) Receive(at sim.Instant, frame []byte) error {
	if err := m.in.open(frame, &m.r.cfg.codec, &m.r.cfg.limits); err != nil {
		return err
	}
	if m.r.receive(clocks(at), m.in) {
		m.in = new(inbound[T])
	}
	return nil
}

func (m *simMachine[T]) Tick(at sim.Instant) { m.r.tick(clocks(at)) }

func (m *simMachine[T]) Due(at sim.Instant) int64 { return m.r.next(clocks(at)) }

func (m *simMachine[T]) Frames(at sim.Instant) []sim.Frame {
	var frames []sim.Frame
	if m.r.sent.Count() > 0 {
		h := m.r.header(clocks(at))
		frames = append(frames, m.frame("", wire.AppendData(nil, &h, m.r.sent, true)))
		m.r.sent.Clear()
	}
	for _, f := range m.r.out.frames {
		frames = append(frames, m.frame(f.to, f.bytes))
	}
	m.r.out.frames = nil
	return frames
}

func (m *simMachine[T]) frame(to string, b []byte) sim.Frame {
	h, body, err := wire.Open(b, wire.Limits{})
	if err != nil {
		panic(err)
	}
	f := sim.Frame{To: to, Kind: h.Kind.String(), Bytes: b}
	if h.Kind == wire.KindSeen {
		var seen wire.Seen
		if err := seen.Parse(body); err != nil {
			panic(err)
		}
		f.Seen = sim.Dot{Node: to, Boot: seen.To.Boot, Seq: seen.Head}
	}
	return f
}

func (m *simMachine[T]) Await(at sim.Instant) (head uint64) {
	head = m.r.origins.at(self).seen.head
	m.r.ask(clocks(at), head)
	return head
}

func (m *simMachine[T]) Holders(head uint64) []string { return m.r.holders(head) }

func (m *simMachine[T]) Release() { m.r.asking.callers-- }

func (m *simMachine[T]) Reached(key string, v sim.Version) bool {
	return m.shell.reachedLocked(key, &Version{Timestamp: time.Unix(0, v.Stamp), Origin: v.Node, Seq: v.Seq})
}

func (m *simMachine[T]) CaughtUp() bool { return m.r.caughtUp }

func (m *simMachine[T]) Goodbye(at sim.Instant) { m.r.sendGoodbye(clocks(at)) }

func (m *simMachine[T]) Get(at sim.Instant, key string) (string, bool) {
	e := visible(m.r.index.Get(key))
	if e == nil {
		return "", false
	}
	value, served := m.r.read(clocks(at), e)
	if !served {
		return "", false
	}
	return m.text(value), true
}

func (m *simMachine[T]) Held(key string) (sim.Version, bool) {
	e := visible(m.r.index.Get(key))
	if e == nil {
		return sim.Version{}, false
	}
	return m.version(&e.Val.write), true
}

func (m *simMachine[T]) Keys() []string {
	var keys []string
	v := m.r.index.View()
	for e := v.Next(); e != nil; e = v.Next() {
		keys = append(keys, e.Key)
	}
	v.Close()
	slices.Sort(keys)
	return keys
}

func (m *simMachine[T]) Covers(d sim.Dot) bool {
	o, known := m.r.origins.byID[wire.ID{Boot: d.Boot, Node: wire.HashNode([]byte(d.Node))}]
	return known && m.r.origins.covers(dot{o, d.Seq})
}

func (m *simMachine[T]) Now(at sim.Instant) int64 { return m.r.clock.now(clocks(at)) }

func (m *simMachine[T]) CutOff() bool { return m.r.cutOff() }

func (m *simMachine[T]) Fingerprint() (vector, digest uint64) {
	return m.r.origins.vectorHash(), m.r.digest
}

func (m *simMachine[T]) Snapshot(at sim.Instant) []byte {
	w := m.r.captureSnapshot(clocks(at))
	data := w.encode(m.refused)
	m.r.out.errs = append(m.r.out.errs, w.errs...)
	return data
}

func (m *simMachine[T]) Absorb(at sim.Instant, data []byte) (more bool, err error) {
	snap, err := openSnapshot(data, &m.r.cfg.codec)
	if err != nil {
		return true, err
	}
	m.refused = nil
	news, more := m.r.knows(snap)
	if news {
		snap.decode(&m.r.cfg.codec, &m.r.cfg.limits)
		m.refused = m.r.absorb(clocks(at), snap)
	}
	return more, nil
}

func (m *simMachine[T]) Errors() []error {
	errs := m.r.out.errs
	m.r.out.errs = nil
	return errs
}

func (m *simMachine[T]) Check() error { return m.r.check() }
