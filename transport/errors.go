package transport

import "errors"

var (
	// ErrClosed is returned by every method of a transport after its Close, except by Close itself.
	ErrClosed = errors.New("transport: closed")

	// ErrTopicInUse is returned by Subscribe of transports that allow one subscription per topic, as long
	// as the channel of the earlier one is open.
	ErrTopicInUse = errors.New("transport: topic already has a subscription")

	// ErrEmptyTopic is returned when a topic is the empty string.
	ErrEmptyTopic = errors.New("transport: empty topic")

	// ErrQueueFull is reported to a transport's error handler, wrapped with the topic, when a subscriber
	// does not keep up and frames are dropped for it.
	ErrQueueFull = errors.New("transport: subscriber queue full, frames dropped")

	// ErrStreamGap is reported to the error handler of a [RedisStreamTransport], wrapped with the topic, when a
	// subscription misses frames because the stream no longer has them.
	ErrStreamGap = errors.New("transport: the stream no longer has all frames since the last one, some are missed")

	// ErrSnapshotDirInUse is wrapped by the error of [WithSnapshotFile] when another transport, of any process,
	// has the directory open.
	ErrSnapshotDirInUse = errors.New("transport: snapshot directory is in use")

	// ErrSnapshotDamaged is reported to a transport's error handler, wrapped with path and topic, for a snapshot
	// file that cannot be used and was set aside.
	ErrSnapshotDamaged = errors.New("transport: snapshot file is damaged")

	// ErrSnapshotTooLarge is returned when a snapshot is larger than the transport's limit.
	ErrSnapshotTooLarge = errors.New("transport: snapshot is too large")

	// ErrFrameTooLarge is wrapped by the error of Publish when a frame is larger than the transport's limit, and reported to
	// the error handler when it is larger than that of a peer.
	ErrFrameTooLarge = errors.New("transport: frame is too large")

	// ErrPeerUnauthenticated is reported to the error handler of a [P2PTransport], wrapped with the reason, when a connection
	// is refused because the other side has not shown to be a peer: by its certificate or a secret.
	ErrPeerUnauthenticated = errors.New("transport: peer is not authenticated")

	// ErrTooManyConnections is reported to the error handler of a [P2PTransport], wrapped with the address, when a
	// connection is refused because of MaxConnections or MaxConnectionsPerAddress.
	ErrTooManyConnections = errors.New("transport: too many connections")
)
