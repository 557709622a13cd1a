package sim

import (
	"time"
)

// SnapshotStore is where pods keep the snapshot that others start from. It keeps what it held before, so that a
// script can roll it back.
type SnapshotStore struct {
	Debounce time.Duration // from a change to the merge; 0: pods never store
	Fails    bool          // reads and writes fail
	Data     []byte
	Past     [][]byte
	Table    *Table // nil: it is kept whole
}

// Flush loses everything.
func (s *SnapshotStore) Flush() { s.put(nil) }

// RollBack restores what was held n writes ago.
func (s *SnapshotStore) RollBack(n int) {
	if len(s.Past) > 0 {
		s.put(s.Past[max(len(s.Past)-n, 0)])
	}
}

func (s *SnapshotStore) put(data []byte) {
	if len(s.Past) > 50 {
		s.Past = s.Past[1:]
	}
	s.Past = append(s.Past, s.Data)
	s.Data = data
}

// load merges the stored snapshot into the machine.
func (p *Pod) load() {
	if t := p.world.Store.Table; t != nil {
		p.world.Tracef("%s loads the table: %v", p.Name, errText(p.m.LoadTable(p.Instant(), t)))
		p.checkStep()
		return
	}
	if p.world.Store.Fails || len(p.world.Store.Data) == 0 {
		return
	}
	more, err := p.m.Absorb(p.Instant(), p.world.Store.Data)
	p.world.Tracef("%s loads the snapshot, more=%v %v", p.Name, more, errText(err))
	if err != nil {
		p.world.Fail("snapshot", "%s cannot read what was stored: %v", p.Name, err)
	}
	p.checkStep()
}

// planPersist stores the state some time after a change. That a machine has nothing new is found out then.
func (p *Pod) planPersist() {
	s := &p.world.Store
	if s.Debounce == 0 || p.persist {
		return
	}
	p.persist = true
	run := p.run
	p.world.queue.after(int64(s.Debounce)+p.world.rng.Int64N(int64(10*s.Debounce)), func() {
		if p.run == run {
			p.persist = false
			p.Persist()
		}
	})
}

// Persist merges the stored snapshot into the machine and stores the whole. Another pod may do so between the
// two.
func (p *Pod) Persist() {
	s := &p.world.Store
	if s.Table != nil {
		p.mergeTable(p.world.rng.IntN(4) == 0)
		return
	}
	if s.Fails {
		return
	}
	more := true
	if len(s.Data) > 0 {
		var err error
		if more, err = p.m.Absorb(p.Instant(), s.Data); err != nil {
			p.world.Fail("snapshot", "%s cannot read what was stored: %v", p.Name, err)
		}
		p.checkStep()
	}
	if !more {
		return
	}
	data := p.m.Snapshot(p.Instant())
	run := p.run
	p.world.queue.after(p.world.rng.Int64N(int64(20*time.Millisecond)), func() {
		if !s.Fails && p.run == run {
			s.put(data)
			p.world.Tracef("%s stored a snapshot of %d B", p.Name, len(data))
		}
	})
}

// mergeTable merges the state into the table. look has the whole vector compared.
func (p *Pod) mergeTable(look bool) {
	err := p.m.MergeTable(p.Instant(), p.world.Store.Table, look)
	p.world.Tracef("%s merges into the table: %v", p.Name, errText(err))
	p.checkStep()
	if err != nil {
		p.planPersist()
	}
}
