package transporttest

import "context"

// Transport has the methods of podshare.Transport. It is repeated here so that the tests of package podshare
// can use this package; any podshare.Transport is assignable to it, and the other way round.
type Transport interface {
	Publish(ctx context.Context, topic string, msg []byte) error
	Subscribe(ctx context.Context, topic string) (<-chan []byte, error)
	Snapshot(ctx context.Context, topic string, data []byte) error
	FetchSnapshot(ctx context.Context, topic string) ([]byte, error)
	Close() error
}
