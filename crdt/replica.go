package crdt

import (
	"crypto/rand"
	"strings"
	"sync/atomic"
	"time"
)

// Replica is the identity of one run of a program: the node under which it counts, and the source of tags and
// stamps that nobody else uses. Make one when the program starts, share it between goroutines, and keep it
// as long as the program runs. It is safe for concurrent use.
//
// One Replica may serve many keys. For an [ORSet] with much coming and going, one per key is better: its
// tags are then numbered without gaps, and a set remembers any number of them in one span.
type Replica struct {
	id   string
	tags atomic.Uint64 // the newest tag
	last atomic.Int64  // time of the newest stamp, ns
}

// NewReplica returns a new identity. The name is for people who read states; what makes the identity unique
// is a random suffix, so a pod that restarts may use its name again.
func NewReplica(name string) *Replica {
	suffix := strings.ToLower(rand.Text()[:12]) // 60 bits
	if name == "" {
		return &Replica{id: suffix}
	}
	return &Replica{id: name + "." + suffix}
}

// ID returns the name of this run, the same for as long as it lasts.
func (r *Replica) ID() string { return r.id }

// Stamp returns the present time under this replica's ID, later than any stamp that it gave before.
func (r *Replica) Stamp() Stamp {
	for {
		last := r.last.Load()
		now := max(time.Now().UnixNano(), last+1)
		if r.last.CompareAndSwap(last, now) {
			return Stamp{ns: now, node: r.id}
		}
	}
}

func (r *Replica) tag() tag { return tag{replica: r.id, n: r.tags.Add(1)} }
