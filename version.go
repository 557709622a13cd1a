package podshare

import (
	"time"

	"github.com/podshare/podshare/internal/wire"
)

// ProtocolVersion is the version of the frames that this release writes. Frames of a higher version are
// refused and reported, those of a lower one read.
const ProtocolVersion uint8 = wire.Version

// Version identifies one state of a key on one store. It is what [Store.TrySet] compares.
//
// Versions of a key never fall. With a Merger the version is that of the newest write; it may stay while an
// older write joins in. A deleted key keeps its version with Exists false until its tombstone is collected;
// after that, and for a key that never was, the version is zero.
type Version struct {
	Timestamp time.Time // hybrid logical time of the write; close to the clock of the pod that wrote it
	Origin    string    // node ID of that pod
	Seq       uint64    // number of the write among all of that pod's run
	Exists    bool
}

// EventKind says what happened to a key.
type EventKind int

// Kinds of events.
const (
	EventSet    EventKind = iota // the key has a value, a new or a first one
	EventDelete                  // the key was deleted
	EventExpire                  // the key's deadline passed, or its owner is gone
	EventSynced                  // all that was there has been told; only with WatchInitial, and of no key
)

// String returns "set", "delete", "expire", "synced", or "unknown".
func (k EventKind) String() string {
	switch k {
	case EventSet:
		return "set"
	case EventDelete:
		return "delete"
	case EventExpire:
		return "expire"
	case EventSynced:
		return "synced"
	default:
		return "unknown"
	}
}

// Event is one change of one key, as a watcher sees it. Value is zero unless Kind is EventSet. Origin and
// Timestamp are those of the write that caused it; see [Version].
type Event[T any] struct {
	Kind      EventKind
	Key       string
	Value     T
	Origin    string
	Timestamp time.Time
}
