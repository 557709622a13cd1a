package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// profile is what may go wrong in one random run. Each is drawn by the seed, so that some runs are nearly quiet and
// others have everything at once.
type profile struct {
	pods                                        int
	network, partitions, crashes, leaves, clock bool
	poison, refusals, store, owned, deadlines   bool
	again                                       bool // frames of repair come again, and answers are long
	length                                      time.Duration
	pace                                        time.Duration // between two actions, on average
}

// Random runs the schedule that the world's seed stands for, and checks what remains.
func Random(w *World) {
	rng := rand.New(rand.NewPCG(w.Seed, 2))
	often := func() bool { return rng.IntN(2) == 0 }
	s := &schedule{w: w, rng: rng, profile: profile{
		pods: 3 + rng.IntN(5), network: often(), partitions: often(), crashes: often(), leaves: often(), clock: often(),
		poison: rng.IntN(4) == 0, refusals: rng.IntN(4) == 0, store: often(), owned: often(), deadlines: often(),
		length: time.Duration(20+rng.IntN(200)) * time.Second,
		pace:   time.Duration(50+rng.IntN(1500)) * time.Millisecond,
	}}
	s.again = !w.Merge && rng.IntN(4) == 0 // with Merge large values would only grow
	w.Tracef("profile %+v", s.profile)
	s.begin()
	for w.Now() < s.length {
		s.act()
		w.Advance(time.Duration(rng.Int64N(int64(2 * s.pace))))
	}
	s.end()
	w.Converge()
}

type schedule struct {
	profile
	w      *World
	rng    *rand.Rand
	values int
}

func (s *schedule) begin() {
	w := s.w
	if s.store {
		w.Store.Debounce = time.Duration(1+s.rng.IntN(5)) * time.Second
		if s.rng.IntN(2) == 0 {
			w.Store.Table = &Table{world: w, rows: map[RowName]Row{}}
		}
	}
	for i := range s.pods {
		c := PodConfig{Name: string(rune('a' + i)), NoSnapshot: !s.store}
		if s.clock {
			c.Clock = time.Duration(s.rng.Int64N(int64(4*time.Second))) - 2*time.Second
		}
		if s.refusals && i == s.pods-1 {
			if s.rng.IntN(2) == 0 {
				c.MaxValue = 40
			} else {
				c.Undecodable = "odd"
			}
		}
		w.Start(c)
		if s.rng.IntN(3) == 0 {
			w.Advance(time.Duration(s.rng.Int64N(int64(time.Second))))
		}
	}
	if s.network {
		w.Drop = s.rng.Float64() * 0.3
		w.Duplicate = s.rng.Float64() * 0.3
		w.Late = s.rng.Float64() * 0.2
		w.Corrupt = s.rng.Float64() * 0.05
		w.Delay = time.Duration(1+s.rng.Int64N(200)) * time.Millisecond
	}
	if s.again {
		w.Again = s.rng.Float64()
	}
}

// act does one thing.
func (s *schedule) act() {
	live := s.w.Live()
	if len(live) == 0 {
		s.any().Restart()
		return
	}
	p := live[s.rng.IntN(len(live))]
	if s.again && s.rng.IntN(3) == 0 {
		s.bulk(p)
		return
	}
	switch n := s.rng.IntN(100); {
	case n < 72:
		s.write(p)
	case n < 80 && s.partitions:
		s.partition(p)
	case n < 85 && s.crashes:
		s.crash(p)
	case n < 87 && s.clock:
		s.jump(p)
	case n < 88 && s.leaves && len(live) > 3:
		s.leave(p)
	case n < 90 && s.poison:
		s.poisoned(p)
	case n < 93 && s.store:
		s.tamper()
	case n < 94:
		p.Seed(Op{Key: s.key(), Value: s.value()}, Op{Key: "seeded", Value: s.value()})
	case n < 96:
		p.Await(1 + s.rng.IntN(s.pods))
		s.w.checkWaits(false)
	default:
		s.w.Advance(time.Duration(s.rng.Int64N(int64(5 * time.Second))))
	}
}

func (s *schedule) any() *Pod { return s.w.pods[s.rng.IntN(len(s.w.pods))] }

func (s *schedule) key() string { return fmt.Sprintf("k%d", s.rng.IntN(6)) }

// value returns one that was never written before, sometimes large, sometimes odd.
func (s *schedule) value() string {
	s.values++
	v := fmt.Sprintf("v%d", s.values)
	if s.refusals && s.rng.IntN(8) == 0 {
		v += "-odd-and-much-longer-than-some-pods-take-in"
	}
	return v
}

func (s *schedule) write(p *Pod) {
	send := p.Write
	if s.rng.IntN(3) == 0 {
		send = p.Queue
	}
	op := Op{Key: s.key(), Value: s.value()}
	switch n := s.rng.IntN(20); {
	case n < 9:
		_ = send(op)
	case n < 13:
		_ = send(Op{Key: op.Key, Delete: true})
	case n < 15:
		_ = send(s.many(false)...)
	case n < 16:
		_ = send(s.many(true)...)
	case n < 17:
		op.IfAbsent = true
		_ = send(op)
	case n < 18 && s.deadlines:
		op.Key = fmt.Sprintf("d%d", s.rng.IntN(3))
		op.TTL = time.Duration(1 + s.rng.Int64N(int64(40*time.Second)))
		_ = send(op)
	case n < 19 && s.owned:
		op.Key = fmt.Sprintf("o%d-%s", s.rng.IntN(2), p.Name)
		op.Owned = !s.w.Merge || s.rng.IntN(4) > 0
		_ = send(op)
	case s.owned: // somebody, perhaps the owner, deletes it or makes it an ordinary one
		op.Key = fmt.Sprintf("o%d-%s", s.rng.IntN(2), s.any().Name)
		if op.Delete = s.rng.IntN(2) == 0; op.Delete {
			op.Value = ""
		}
		_ = send(op)
	default:
		_ = send(op)
	}
}

// bulk writes a value that fills a chunk of an answer by itself, so that what a pod missed takes many of them.
func (s *schedule) bulk(p *Pod) {
	const chunk = 140 << 10
	_ = p.Write(Op{Key: fmt.Sprintf("b%d", s.rng.IntN(8)), Value: s.value() + strings.Repeat("!", chunk)})
}

func (s *schedule) many(del bool) []Op {
	ops := make([]Op, 0, 4)
	for k := range 6 {
		if s.rng.IntN(2) == 0 {
			op := Op{Key: fmt.Sprintf("k%d", k), Delete: del}
			if !del {
				op.Value = s.value()
			}
			ops = append(ops, op)
		}
	}
	return ops
}

// partition separates a pod, or one direction, for a while that may be longer than tombstones are kept.
func (s *schedule) partition(p *Pod) {
	w := s.w
	d := time.Duration(s.rng.Int64N(int64(10 * time.Second)))
	if s.rng.IntN(4) == 0 {
		d = w.TombstoneTTL + time.Duration(s.rng.Int64N(int64(w.TombstoneTTL)))
	}
	switch q := s.any(); s.rng.IntN(3) {
	case 0:
		w.CutOneWay(p.Name, q.Name)
		w.After(d, func() { w.Heal(p.Name, q.Name) })
	case 1:
		w.Cut(p.Name, q.Name)
		w.After(d, func() { w.Heal(p.Name, q.Name) })
	default:
		w.Cut(p.Name)
		w.After(d, func() { w.Heal(p.Name) })
	}
	w.Tracef("partition of %s for %v", p.Name, d)
}

func (s *schedule) crash(p *Pod) {
	p.NoSnapshot = !s.store || s.rng.IntN(3) == 0
	restart := p.Restart
	if s.clock && s.rng.IntN(3) == 0 {
		restart = p.RestartFrozen
	}
	if s.rng.IntN(3) == 0 {
		p.Close()
	} else {
		p.Stop()
	}
	run := p.run
	s.w.After(time.Duration(s.rng.Int64N(int64(20*time.Second))), func() {
		if p.run == run && !p.gone {
			restart()
		}
	})
}

func (s *schedule) leave(p *Pod) {
	p.gone = true
	if s.rng.IntN(2) == 0 {
		p.Close()
	} else {
		p.Stop()
	}
}

// jump sets a clock by up to some seconds.
func (s *schedule) jump(p *Pod) {
	p.Jump(time.Duration(s.rng.Int64N(int64(20*time.Second))) - 10*time.Second)
}

// poisoned lets a pod write with its clock an hour ahead, for a while.
func (s *schedule) poisoned(p *Pod) {
	p.Jump(time.Hour)
	s.write(p)
	s.w.After(time.Duration(s.rng.Int64N(int64(20*time.Second))), func() {
		if p.m != nil {
			p.Jump(-time.Hour)
		} else {
			p.Clock -= time.Hour
		}
	})
}

// tamper breaks the snapshot store.
func (s *schedule) tamper() {
	store := &s.w.Store
	if store.Table != nil {
		s.tamperTable(store.Table)
		return
	}
	switch s.rng.IntN(3) {
	case 0:
		store.Flush()
	case 1:
		store.RollBack(1 + s.rng.IntN(20))
	default:
		store.Fails = true
		s.w.After(time.Duration(s.rng.Int64N(int64(20*time.Second))), func() { store.Fails = false })
	}
}

func (s *schedule) tamperTable(t *Table) {
	switch s.rng.IntN(4) {
	case 0:
		t.Flush()
	case 1:
		t.RollBack(1 + s.rng.IntN(20))
	case 2:
		t.Damage()
	default:
		t.Fails = true
		s.w.After(time.Duration(s.rng.Int64N(int64(20*time.Second))), func() { t.Fails = false })
	}
}

// end brings back whoever has not left.
func (s *schedule) end() {
	s.w.Store.Fails = false
	if t := s.w.Store.Table; t != nil {
		t.Fails = false
	}
	for _, p := range s.w.pods {
		if p.m == nil && !p.gone {
			p.Restart()
		}
	}
}
