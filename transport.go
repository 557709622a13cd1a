package podshare

import (
	"context"
	"strings"
)

// Transport carries frames between the stores of a topic and keeps a snapshot for those that start. It may
// lose, duplicate, delay and reorder frames, and may hand a publisher its own frames back; a Store is built
// for that. It must not change frames, and must not wait for the reader of a subscription for ever.
//
// All methods are used by several goroutines at once. Package transport has implementations, package
// transport/transporttest the contract as a test suite.
//
// A Transport that wraps another may have a method Unwrap() Transport. What a Transport may implement besides,
// [EchoFree], [ConnectionNotifier], [Mesh], [SnapshotTable] and [SnapshotKeeper], is then looked for in it first, and then in
// what it wraps. So it must leave frames, the channels of Subscribe and snapshots as they are.
type Transport interface {
	// Publish sends msg to every subscription of the topic. msg is the transport's to keep; it is never
	// changed after the call. It returns when ctx ends, at the latest.
	Publish(ctx context.Context, topic string, msg []byte) error

	// Subscribe returns the frames of a topic. The channel is closed when ctx ends or the transport is
	// closed. What is received is the subscriber's, to read only.
	Subscribe(ctx context.Context, topic string) (<-chan []byte, error)

	// Snapshot stores data as the topic's snapshot in place of the one before.
	Snapshot(ctx context.Context, topic string, data []byte) error

	// FetchSnapshot returns the stored snapshot, nil and no error if there is none yet.
	FetchSnapshot(ctx context.Context, topic string) ([]byte, error)

	// Close ends all subscriptions and releases what the transport holds.
	Close() error
}

// EchoFree is what a Transport may implement besides, if it can spare a publisher its own frames.
type EchoFree interface {
	// PublishExcept is Publish to all but the subscription that own, as returned by Subscribe, belongs to.
	PublishExcept(ctx context.Context, topic string, msg []byte, own <-chan []byte) error
}

// ConnectionNotifier is what a Transport may implement besides, if it has a connection that it can lose. A [Store] then
// knows at once that it is cut off, and looks for what it missed as soon as it is not.
type ConnectionNotifier interface {
	// NotifyConnection has fn called when the connection that frames of the topic come by is lost (false) and when it
	// is there again (true), until ctx ends. It is taken to be there at the time of the call. The calls are in order, one
	// at a time; fn returns at once.
	NotifyConnection(ctx context.Context, topic string, fn func(connected bool))
}

// Mesh is what a Transport may implement besides, if it connects pods with each other and nothing else is there that could
// keep a snapshot. A [Store] then stores none: a pod that has one to offer can as well answer itself, with what is newer,
// and in pieces. It still fetches one when it starts, and that returns once the transport has reached its peers, or knows
// which are not there.
type Mesh interface {
	// Alone reports that no other pod is on the topic: every peer has been reached, and subscribes to others only, or is not
	// there. A store that starts need not wait for one then.
	Alone(topic string) bool
}

// SnapshotTable is what a Transport may implement besides, if it can keep a topic's snapshot in rows, each read and
// replaced by itself: what stores then move is what changed, not everything. The rows stand beside the snapshot of
// [SnapshotStore], which stores do not use then. A row consists of a head, up to some hundred bytes, and a body; two
// rows of one name with equal heads are equal. Stores alone know what heads and bodies mean, and what becomes of a row
// when two pods change it: a table only has to compare and to swap (optimistic concurrency control, Kung and Robinson
// 1981).
//
// A table whose heads no store has asked for, and whose rows none has swapped, for long may be given up, as a whole; a
// store that lives asks every minute or so.
type SnapshotTable interface {
	// SnapshotHeads returns the heads of the named rows, in the order of names: nil for a row that is not there.
	SnapshotHeads(ctx context.Context, topic string, names []RowName) ([][]byte, error)

	// SnapshotRows returns the named rows whole, in the order of names: without a Head one that is not there.
	SnapshotRows(ctx context.Context, topic string, names []RowName) ([]SnapshotRow, error)

	// SwapSnapshotRows makes all the changes, each of another row, at once, and returns true; or, if a row's head is not the expected one,
	// none and false. After an error it may have made them, all or none. A store changes some thousand rows or a few
	// megabytes at most in one call, save for a single batch of writes that is larger.
	SwapSnapshotRows(ctx context.Context, topic string, changes []RowChange) (bool, error)

	// ScanSnapshot calls fn with the rows of a section, in steps that keep nobody else waiting, until fn fails; it
	// returns fn's error. Every row that is there from the beginning to the end, changed meanwhile or not, comes at
	// least once. fn may keep what it is given.
	ScanSnapshot(ctx context.Context, topic string, section SnapshotSection, fn func(rows []SnapshotRow) error) error
}

// SnapshotSection is a part of a [SnapshotTable] that is scanned by itself.
type SnapshotSection string

// Sections of a table.
const (
	SnapshotVector  SnapshotSection = "vector"  // a row or more for each run of each store; their bodies are empty
	SnapshotEntries SnapshotSection = "entries" // a row for each key
)

// RowName names a row of a [SnapshotTable].
type RowName struct {
	Section SnapshotSection
	Key     string // any bytes
}

// SnapshotRow is a row of a [SnapshotTable].
type SnapshotRow struct {
	Key        string
	Head, Body []byte
}

// RowChange is a change of one row of a [SnapshotTable].
type RowChange struct {
	RowName
	Was        []byte // the expected head; nil: no such row
	Head, Body []byte // what the row becomes; without a Head it is removed; if Head equals Was it stays as it is
}

// SnapshotStore keeps one snapshot per topic. Every [Transport] is one.
type SnapshotStore interface {
	// Snapshot is that of Transport.
	Snapshot(ctx context.Context, topic string, data []byte) error

	// FetchSnapshot is that of Transport.
	FetchSnapshot(ctx context.Context, topic string) ([]byte, error)
}

// SnapshotKeeper is what a Transport that wraps another may implement besides, if it keeps snapshots of its
// own. A [Store] then starts from both, its and those of the wrapped one, and adds to each what is missing
// there: neither an old one nor one that fails takes anything from the other.
type SnapshotKeeper interface {
	// Unwrap returns the wrapped transport, always the same.
	Unwrap() Transport

	// OwnSnapshots returns what this layer keeps, always the same.
	OwnSnapshots() SnapshotStore
}

// capability returns what t, or else what it wraps, implements besides Transport.
func capability[C any](t Transport) (c C, ok bool) {
	for {
		if c, ok = t.(C); ok {
			return c, true
		}
		w, wraps := t.(interface{ Unwrap() Transport })
		if !wraps {
			return c, false
		}
		t = w.Unwrap()
	}
}

// topicName is what a topic is called on the transport, and inboxName the topic that only the stores of
// one node subscribe to. In the first every run of '@' has even length, in the second one run is odd, so no
// topic is another's inbox.
func topicName(topic string) string { return strings.ReplaceAll(topic, "@", "@@") }

func inboxName(topic, node string) string {
	return topicName(topic) + "@:" + topicName(node)
}
