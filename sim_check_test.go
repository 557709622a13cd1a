package podshare

import "fmt"

// check returns the first invariant that does not hold.
func (r *replica[T]) check() error {
	var live, tombs, graves, deadlines int
	var digest uint64
	owned := map[origin]uint64{}
	var err error
	broken := func(format string, args ...any) {
		if err == nil {
			err = fmt.Errorf(format, args...)
		}
	}
	v := r.index.View()
	defer v.Close()
	for e := v.Next(); e != nil; e = v.Next() {
		if e.Val.dead() {
			tombs++
		} else {
			live++
		}
		for p := range r.parts(e) {
			if !r.origins.covers(p.dot()) && (r.repair.ask == nil || !r.repair.ask.joining) {
				broken("%s holds dot %v, which is not covered", e.Key, p.dot())
			}
			if f := r.refused[p.origin]; f != nil && f.dots.covers(p.seq) && !r.origins.covers(p.dot()) {
				broken("%s holds dot %v, which is refused", e.Key, p.dot())
			}
			if p.dead() {
				graves++
				continue
			}
			if p.deadline != 0 {
				deadlines++
			}
			switch {
			case p.owner != nil:
				owned[p.origin] += r.dotHash(p.dot())
				if _, ok := p.owner.index[e.Key]; !ok {
					broken("%s is not among the keys of its owner", e.Key)
				}
			case p.deadline == 0:
				digest += r.dotHash(p.dot())
			}
		}
	}
	if r.live != live || r.tombs != tombs {
		broken("counts %d live and %d dead keys, there are %d and %d", r.live, r.tombs, live, tombs)
	}
	if r.graves.wanted != graves || r.deadlines.wanted != deadlines {
		broken("queues count %d tombstones and %d deadlines, there are %d and %d",
			r.graves.wanted, r.deadlines.wanted, graves, deadlines)
	}
	if r.digest != digest {
		broken("digest %x, of what is held it is %x", r.digest, digest)
	}
	for o := range r.origins.list {
		if got := r.ownedHash(origin(o)); got != owned[origin(o)] {
			broken("hash of owned keys of %s is %x, should be %x", r.origins.name(origin(o)), got, owned[origin(o)])
		}
	}
	if queueErr := r.checkQueued(); queueErr != nil {
		broken("%w", queueErr)
	}
	var vector uint64
	for _, st := range r.origins.list {
		vector += st.seen.hash(st.id.Boot ^ mix(st.id.Node, 1))
		if seqErr := st.seen.check(); seqErr != nil {
			broken("seen of %s: %w", st.node, seqErr)
		}
	}
	if vector != r.origins.vectorHash() {
		broken("vector hash %x, should be %x", r.origins.vectorHash(), vector)
	}
	return err
}

// checkQueued reports a dead write that no queue will collect, or a deadline that nothing waits for.
func (r *replica[T]) checkQueued() error {
	graves, deadlines := map[dot]bool{}, map[dot]bool{}
	for _, a := range r.graves.items {
		graves[a.dot] = true
	}
	for _, a := range r.lingering {
		graves[a.dot] = true
	}
	for _, a := range r.deadlines.items {
		deadlines[a.dot] = true
	}
	v := r.index.View()
	defer v.Close()
	for e := v.Next(); e != nil; e = v.Next() {
		for p := range r.parts(e) {
			if p.dead() && !graves[p.dot()] {
				return fmt.Errorf("%s: dead dot %v is not queued for collection", e.Key, p.dot())
			}
			if !p.dead() && p.deadline != 0 && !deadlines[p.dot()] {
				return fmt.Errorf("%s: dot %v is not queued for its deadline", e.Key, p.dot())
			}
		}
	}
	return nil
}

// check returns the first invariant of a seqSet that does not hold.
func (s *seqSet) check() error {
	before := s.head
	if len(s.fresh) > 0 && len(s.spans) <= maxMoved {
		return fmt.Errorf("%d fresh runs beside %d", len(s.fresh), len(s.spans))
	}
	for _, run := range s.above() {
		if run.First > run.Last || run.First <= before+1 {
			return fmt.Errorf("head %d, spans %v", s.head, s.spans)
		}
		before = run.Last
	}
	return nil
}
