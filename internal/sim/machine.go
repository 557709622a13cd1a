package sim

import (
	"cmp"
	"time"
)

// Instant is one reading of a pod's two clocks, in ns. Wall may be wrong and jump, Mono never does.
type Instant struct{ Wall, Mono int64 }

// Machine is one run of a replica. All of it is driven by one goroutine.
type Machine interface {
	// Write applies local writes, several in one step, as a caller of the store would ask for them. Deletes of
	// absent keys are left out.
	Write(at Instant, ops []Op) error
	// Seed fills the machine with initial values, if it holds none.
	Seed(at Instant, ops []Op) error
	// Receive takes in a frame. An error means that it was dropped whole.
	Receive(at Instant, frame []byte) error
	// Tick does what is due. Due is when it wants to be called next (Mono).
	Tick(at Instant)
	Due(at Instant) int64
	// Frames takes what waits to be sent.
	Frames(at Instant) []Frame
	// Await begins to wait for other pods to hold all writes of the machine, which reach up to head. Holders are the
	// nodes that do, as far as it knows. Release ends the waiting.
	Await(at Instant) (head uint64)
	Holders(head uint64) []string
	Release()
	// Reached reports whether what is read of a key is not older than a version.
	Reached(key string, v Version) bool
	// CaughtUp reports whether the machine thinks that it holds what was there when it began.
	CaughtUp() bool
	// Goodbye announces the end of the run.
	Goodbye(at Instant)

	// Watch starts a watcher.
	Watch(o WatchOptions) Watcher

	// Get is what a reader is served, Held what the machine knows of a key, readable or not.
	Get(at Instant, key string) (string, bool)
	Held(key string) (Version, bool)
	// Keys are those of which something is held.
	Keys() []string
	// Covers reports whether the machine has seen a write, whatever became of it.
	Covers(d Dot) bool
	// Now is the time that deadlines are compared with.
	Now(at Instant) int64
	// CutOff reports whether the machine knows that it lost everybody.
	CutOff() bool
	// Fingerprint is what heartbeats carry: equal for machines that have seen and hold the same.
	Fingerprint() (vector, digest uint64)

	// Snapshot is the whole state; Absorb merges one and reports whether the machine holds more.
	Snapshot(at Instant) []byte
	Absorb(at Instant, data []byte) (more bool, err error)

	// MergeTable merges the state into a table; look has the whole vector compared. LoadTable merges a table.
	MergeTable(at Instant, t *Table, look bool) error
	LoadTable(at Instant, t *Table) error

	// Check returns the first broken internal invariant.
	Check() error
	// Errors takes what was reported to the user.
	Errors() []error
}

// Config is what a machine is told at its birth.
type Config struct {
	Node         string
	Boot         uint64
	Seed         uint64
	TombstoneTTL time.Duration
	Lease        time.Duration
	MaxValue     int    // refuses longer values; 0: no limit
	Undecodable  string // refuses values that contain it; "": none
	Merge        bool   // joins values as sets of strings
	Changed      func(Event)
}

// Maker starts a machine.
type Maker func(c Config, at Instant) Machine

// Op is one write asked of a machine.
type Op struct {
	Key    string
	Value  string // with Merge: one element
	Delete bool
	Owned  bool
	// TTL after which the value is not served; 0: none.
	TTL time.Duration
	// IfAbsent writes only if the key is not served, as TrySet does.
	IfAbsent bool
}

// Frame is a message: to everybody, or to the node To. Kind is for traces and scripts.
type Frame struct {
	To    string
	Kind  string
	Bytes []byte
	Seen  Dot // its sender says that it has seen all writes of this run up to this one; zero: it says no such thing
}

// Dot names a write: the Seq-th of one run of one pod.
type Dot struct {
	Node string
	Boot uint64
	Seq  uint64
}

// Version is the identity and order of the newest write of a key.
type Version struct {
	Dot
	Seed  bool
	Stamp int64
	Dead  bool
}

// Compare orders versions as the design says: class, stamp, node, seq, boot.
func (v Version) Compare(o Version) int {
	if v.Seed != o.Seed {
		if v.Seed {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(v.Stamp, o.Stamp), cmp.Compare(v.Node, o.Node), cmp.Compare(v.Seq, o.Seq),
		cmp.Compare(v.Boot, o.Boot))
}

// EventKind says what a watcher is told of a key.
type EventKind string

// The kinds of events.
const (
	Set    EventKind = "set"
	Delete EventKind = "delete"
	Expire EventKind = "expire"
	Synced EventKind = "synced" // all that was present has been told
)

// Event is one change as a watcher hears of it.
type Event struct {
	Kind    EventKind
	Key     string
	Value   string
	Version Version
}

// WatchOptions say what a watcher hears, and how.
type WatchOptions struct {
	Keys     []string              // nil: all
	Filter   func(key string) bool // nil: all
	Initial  bool                  // first what is present, then Synced
	Conflate bool                  // of each key the latest is kept for a slow reader
}

// Watcher is what a reader has of a watch.
type Watcher interface {
	// Next takes the next event, a zero one if none waits. A watcher that is not open has lost events.
	Next(at Instant) (e Event, open bool)
	Close()
}
