package podshare

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers react to. All others are described where they are returned.
var (
	// ErrClosed is returned by every method of a Store after Close.
	ErrClosed = errors.New("podshare: store is closed")

	// ErrBroadcast says that a write was applied here but could not be sent. The local state stands, and
	// repair delivers it to the others; retrying is safe and not needed.
	ErrBroadcast = errors.New("podshare: write applied locally, not yet sent")

	// ErrSeedNonEmpty is returned by Seed when the store holds a key already.
	ErrSeedNonEmpty = errors.New("podshare: store is not empty")

	// ErrEmptyKey is returned for the key "".
	ErrEmptyKey = errors.New("podshare: key is empty")

	// ErrTooLarge is returned for a key, value or batch beyond the Limits, and reported for one that a peer
	// sent.
	ErrTooLarge = errors.New("podshare: too large")

	// ErrTooMany is returned when a count is beyond the Limits: keys, watchers, keys of a batch.
	ErrTooMany = errors.New("podshare: too many")

	// ErrWatcherLagged is reported when a watcher fell behind its buffer. Its channel is closed.
	ErrWatcherLagged = errors.New("podshare: watcher fell behind its buffer and was closed")

	// ErrNodeIDTaken is reported when another live store of the topic has this store's node ID. Both stay
	// correct; but whoever reads Event.Origin cannot tell them apart.
	ErrNodeIDTaken = errors.New("podshare: node ID is taken by another live store")

	// ErrCodecMismatch is reported when a peer or the stored snapshot uses another codec, or only one of the
	// two a Merger. Nothing of it is applied.
	ErrCodecMismatch = errors.New("podshare: another codec is in use")

	// ErrPanic is wrapped by the error that a panicking callback causes.
	ErrPanic = errors.New("podshare: callback panicked")

	// ErrBadFrame is reported for bytes on the topic that are no valid frame. They are dropped whole.
	ErrBadFrame = errors.New("podshare: bad frame")
)

// KeyError is an error that concerns one key.
type KeyError struct {
	Key string
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("podshare: key %.64q: %v", e.Key, e.Err) }

// Unwrap returns what is wrong with the key.
func (e *KeyError) Unwrap() error { return e.Err }

// StampError is returned for a write that would have to be ordered after one stamped beyond the year 2200.
type StampError struct {
	Time time.Time
}

func (e *StampError) Error() string {
	return fmt.Sprintf("podshare: stamp %v is outside of 1970 to 2200", e.Time)
}

// SkewError is reported when clocks differ by more than the skew bound: that of this pod from the median of
// the live pods', which is used in its place until that ends; or that of another pod, whose writes are applied
// all the same.
type SkewError struct {
	Node   string        // the pod whose clock is off; "" for this one
	Offset time.Duration // how far it is ahead
}

func (e *SkewError) Error() string {
	if e.Node == "" {
		return fmt.Sprintf("podshare: this pod's clock is off by %v; the median of the live pods is used", e.Offset)
	}
	return fmt.Sprintf("podshare: a write of %.64q is stamped %v ahead", e.Node, e.Offset)
}
