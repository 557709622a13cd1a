package podsharetest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/podshare/podshare"
)

// WaitConverged returns as soon as all running pods hold the same keys, with the same values and versions, say that
// they are synced, and lack nothing that they have heard of. (A single pod need not be synced.) It fails the test if that takes too long (see
// [WithPatience]), and then says which keys differ between which pods. Nobody should be writing meanwhile.
//
// Values are the same if reflect.DeepEqual says so or if their JSON is: a time.Time that was sent has lost its
// monotonic reading on the other pods, but means the same.
func (c *Cluster[T]) WaitConverged() {
	c.tb.Helper()
	if len(c.Stores()) == 0 {
		c.tb.Fatalf("podsharetest: no pod is running that could converge")
	}
	c.waitFor("all pods hold the same and are synced", c.converged, c.describeDifferences)
}

// converged reports whether the running pods agree at this moment.
func (c *Cluster[T]) converged() bool {
	return c.synced() && len(c.differences(1)) == 0
}

// synced reports whether the running pods hear others and lack nothing. A store calls itself behind only when it has
// lacked something for a while; here no lag is too short.
func (c *Cluster[T]) synced() bool {
	stores := c.Stores()
	if len(stores) == 1 {
		return true
	}
	for _, s := range stores {
		h := s.Health()
		if h.State != podshare.Synced || slices.ContainsFunc(h.Peers, lacking) {
			return false
		}
	}
	return true
}

func lacking(p podshare.PeerHealth) bool { return p.Lag > 0 }

// held is what a store holds under a key.
type held[T any] struct {
	value   T
	version podshare.Version // Exists: there is a value
}

func (h *held[T]) same(other *held[T]) bool {
	v, w := h.version, other.version
	if v.Exists != w.Exists {
		return false
	}
	return !v.Exists || v.Seq == w.Seq && v.Origin == w.Origin && v.Timestamp.Equal(w.Timestamp) && sameValue(h.value, other.value)
}

func sameValue[T any](a, b T) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// contents is what a store holds. A key that changes while it is read may show a value with the version of the
// next one.
func contents[T any](s *podshare.Store[T]) map[string]held[T] {
	all := map[string]held[T]{}
	for key, value := range s.Snapshot() {
		all[key] = held[T]{value, s.Version(key)}
	}
	return all
}

// difference is a key on which pods disagree.
type difference[T any] struct {
	key  string
	held []held[T] // by pod, in the order of Stores
}

// differences returns keys on which the running pods disagree, in no order and at most this many.
func (c *Cluster[T]) differences(limit int) []difference[T] {
	stores := c.Stores()
	pods := make([]map[string]held[T], len(stores))
	keys := map[string]struct{}{}
	for i, s := range stores {
		pods[i] = contents(s)
		for key := range pods[i] {
			keys[key] = struct{}{}
		}
	}
	var all []difference[T]
	for key := range keys {
		d := difference[T]{key: key}
		differs := false
		for i := range pods {
			h := pods[i][key]
			d.held = append(d.held, h)
			differs = differs || !h.same(&d.held[0])
		}
		if !differs {
			continue
		}
		if all = append(all, d); len(all) == limit {
			break
		}
	}
	return all
}
