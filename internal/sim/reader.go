package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// reader is a client that watches one run of a pod. It reads when it likes to, and what it was told in all must be right:
// G6 as a user sees it. Unlike [watcher], which hears of every step, it is behind a queue.
type reader struct {
	WatchOptions
	pod    *Pod
	from   Watcher
	told   map[string]Event // by key: the latest
	anew   map[string]bool  // keys that the pod forgot: what waited of them was older than what comes next
	before map[string]bool  // keys that were held when a reader began that is not told of them
	synced bool
}

// watches are the ways to watch of which each pod has a reader.
func watches(keys []string) []WatchOptions {
	some := func(key string) bool { return strings.ContainsAny(key, "135") }
	return []WatchOptions{
		{Initial: true},
		{Conflate: true},
		{Initial: true, Conflate: true, Filter: some},
		{Keys: keys},
		{Keys: keys, Initial: true},
		{Filter: some},
	}
}

// watchKeys are those that readers of some keys watch.
var watchKeys = []string{"k0", "k2", "d1", "o0-a", "never"} //nolint:gochecknoglobals // constant

// longestStall is how long a reader may leave its events alone.
const longestStall = 15 * time.Second

// read lets the pod have readers for the rest of its run.
func (p *Pod) read() {
	rng := rand.New(rand.NewPCG(p.world.Seed, p.id.Boot))
	p.readers = nil
	for _, o := range watches(watchKeys) {
		r := &reader{WatchOptions: o, pod: p}
		p.readers = append(p.readers, r)
		r.begin()
		p.schedule(rng, r)
	}
}

// schedule has the reader look now and then, as long as the run lasts.
func (p *Pod) schedule(rng *rand.Rand, r *reader) {
	pause := time.Duration(rng.Int64N(int64(2 * time.Second)))
	if rng.IntN(8) == 0 {
		pause = time.Duration(rng.Int64N(int64(longestStall)))
	}
	run := p.run
	p.world.queue.after(int64(pause), func() {
		if p.run != run {
			return
		}
		most := 1 << 10
		if rng.IntN(2) == 0 {
			most = rng.IntN(4)
		}
		if r.take(most) && rng.IntN(16) == 0 {
			r.from.Close()
			r.begin() // with what is there by now
		}
		if len(p.watch.changed) > 0 { // it is latched before it is told
			p.checkStep()
			p.settle()
		}
		p.schedule(rng, r)
	})
}

// begin watches from now on.
func (r *reader) begin() {
	r.from = r.pod.m.Watch(r.WatchOptions)
	r.told, r.before, r.anew, r.synced = map[string]Event{}, map[string]bool{}, map[string]bool{}, !r.Initial
	if !r.Initial {
		for _, key := range r.pod.m.Keys() {
			r.before[key] = true
		}
	}
}

// take reads at most so many events. It reports whether none was left; then what the reader knows is what is served.
func (r *reader) take(most int) (all bool) {
	at := r.pod.Instant()
	for range most {
		e, open := r.from.Next(at)
		switch {
		case !open && r.Conflate:
			r.fail("a conflating watcher is closed")
		case !open: // it was slow, and knows
			r.begin()
			return false
		case e.Kind == "":
			if !r.synced {
				r.fail("nothing more comes, and no Synced")
			}
			r.checkView(at)
			return true
		}
		r.pod.world.Stats.Read++
		r.hear(e)
	}
	return false
}

func (r *reader) fail(format string, args ...any) {
	args = append([]any{r.pod.Name, r.what()}, args...)
	r.pod.world.Fail("G6", "%s, reader of %s: "+format, args...)
}

func (r *reader) what() string {
	what := "all"
	switch {
	case r.Keys != nil:
		what = "some keys"
	case r.Filter != nil:
		what = "what a filter takes"
	}
	if r.Initial {
		what += ", initial"
	}
	if r.Conflate {
		what += ", conflating"
	}
	return what
}

func (r *reader) wants(key string) bool {
	return (r.Keys == nil || slices.Contains(r.Keys, key)) && (r.Filter == nil || r.Filter(key))
}

// hear checks one event. Versions never fall, nothing comes twice, and an end is only told of what was there.
func (r *reader) hear(e Event) {
	r.pod.world.Tracef("%s, reader of %s: %s %s %s %v", r.pod.Name, r.what(), e.Kind, e.Key, clip(e.Value), e.Version)
	if e.Kind == Synced {
		if r.synced {
			r.fail("Synced comes twice, or unasked")
		}
		r.synced = true
		return
	}
	last, known := r.told[e.Key]
	r.told[e.Key] = e
	switch order := e.Version.Compare(last.Version); {
	case !r.wants(e.Key):
		r.fail("it is told of %s", e.Key)
	case e.Version.Node == "":
		r.fail("%s of %s is signed by nobody", e.Kind, e.Key)
	case !r.synced && (known || e.Kind != Set):
		r.fail("before Synced it is told %s %s after %q", e.Kind, e.Key, last.Kind)
	case e.Kind != Set && last.Kind != Set && (known || !r.before[e.Key]):
		r.fail("%s of %s (%v) after %q", e.Kind, e.Key, e.Version, last.Kind)
	case !known || r.pod.world.Merge:
	case order < 0 && r.anew[e.Key]:
		delete(r.anew, e.Key)
	case order < 0:
		r.fail("versions of %s fall from %v to %v", e.Key, last.Version, e.Version)
	case order == 0 && e.Kind == last.Kind && e.Value == last.Value:
		r.fail("%s of %s %v comes twice", e.Kind, e.Key, e.Version)
	}
}

// checkView compares what a reader that was told everything knows with what is served.
func (r *reader) checkView(at Instant) {
	p := r.pod
	for _, key := range p.world.oracle.keys {
		if !r.wants(key) {
			continue
		}
		value, served := p.m.Get(at, key)
		last, known := r.told[key]
		switch {
		case served && !known && r.before[key]:
		case served && (last.Kind != Set || last.Value != value) && !p.planted(key):
			r.fail("%s is served as %q, it was last told %q %q %v", key, value, last.Kind, last.Value, last.Version)
		case !served && last.Kind == Set && !p.mayHide(at, last):
			r.fail("%s is not served, it was last told %q %v", key, last.Value, last.Version)
		}
	}
}

// seeded lets the reader hear of the end of seeds without their beginning.
func (r *reader) seeded() {
	for _, key := range r.pod.m.Keys() {
		if r.pod.planted(key) {
			r.before[key] = true
			delete(r.told, key)
		}
	}
}

// forgot notes that the pod holds nothing of a key any more, not even that it is over: it starts anew.
func (r *reader) forgot(key string) {
	if last, known := r.told[key]; known {
		last.Version = Version{Seed: true} // below all others
		r.told[key] = last
		r.anew[key] = true
	}
}

// planted reports whether what is held of a key is a seed of the pod itself: readers are not told of these.
func (p *Pod) planted(key string) bool {
	v, _ := p.m.Held(key)
	return v.Seed && v.Node == p.id.Node && v.Boot == p.id.Boot
}
