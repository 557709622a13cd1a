package transport

import (
	"cmp"
	"fmt"
	"time"
)

const (
	defaultRedisStreamLen   = 10_000
	defaultRedisStreamBytes = 64 << 20
	defaultRedisStreamTTL   = 10 * time.Minute
)

// RedisStreamOptions says where Redis is, and how a [RedisStreamTransport] uses it. What it says of streams should be
// the same on all pods: each Publish trims by the options of its own transport.
type RedisStreamOptions struct {
	// RedisOptions are those of a [RedisTransport], with these differences: DB is where streams are as well, so that
	// two fleets in two databases do not hear each other; a Client is a [redis.Client], with or without Sentinel, or a
	// [redis.ClusterClient], and each subscription opens a connection by its options, without its hooks; what QueueFrames
	// has no room for waits in the stream, and its frames may be of any size; PingInterval, at least 1 ms, is also how long a read waits for frames.
	RedisOptions

	// MaxLen is how many frames the stream of a topic keeps for subscribers that are cut off or slow, give or take the
	// 100 that Redis removes at a time. The default, also for zero, is 10,000.
	MaxLen int

	// MaxBytes bounds the size of a topic's stream: a frame of n bytes lets at most MaxBytes/n frames stay, itself
	// included, so that frames of one size take MaxBytes at most. Where sizes vary they can take a few times as much,
	// and a large one costs small ones their place. The default, also for zero, is 64 MiB; it never holds less than one
	// frame.
	MaxBytes int

	// StreamTTL is how long Redis keeps the stream of a topic that nobody publishes on, give or take a tenth. The
	// default, also for zero, is 10 minutes, the least a second.
	StreamTTL time.Duration
}

// normalized returns the options with their defaults, or what is wrong with them.
func (o RedisStreamOptions) normalized() (RedisStreamOptions, error) {
	o.MaxLen = cmp.Or(o.MaxLen, defaultRedisStreamLen)
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultRedisStreamBytes)
	o.StreamTTL = cmp.Or(o.StreamTTL, defaultRedisStreamTTL)
	switch {
	case o.MaxLen < 0:
		return o, fmt.Errorf("redis: RedisStreamOptions.MaxLen is %d", o.MaxLen)
	case o.MaxBytes < 0:
		return o, fmt.Errorf("redis: RedisStreamOptions.MaxBytes is %d", o.MaxBytes)
	case o.StreamTTL < time.Second:
		return o, fmt.Errorf("redis: RedisStreamOptions.StreamTTL is %v, at least a second is needed", o.StreamTTL)
	case o.PingInterval > 0 && o.PingInterval < time.Millisecond:
		return o, fmt.Errorf("redis: RedisStreamOptions.PingInterval is %v, at least a millisecond is needed", o.PingInterval)
	}
	return o, nil
}

// lengthAfter is what a stream is trimmed to when a frame of that many bytes is added.
func (o RedisStreamOptions) lengthAfter(frameBytes int) int {
	return max(1, min(o.MaxLen, o.MaxBytes/max(1, frameBytes)))
}
