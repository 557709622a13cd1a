package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

const (
	// redisReadBytes is what a read is to bring, by the size of the entries before. It also must come in time, see
	// read.
	redisReadBytes = 1 << 20
	redisReadMost  = 1000 // entries
)

// redisStreamReader is the source of a subscription to a stream. Its goroutine alone sends to frames, and closes it.
type redisStreamReader struct {
	t      *RedisStreamTransport
	topic  string
	key    string
	frames chan []byte

	// position is the ID of the last entry that was read, or of the newest one when the subscription began. It
	// outlives connections.
	position string
}

func (r *redisStreamReader) end() { close(r.frames) }

// connect returns a receiver that goes on at the position.
func (r *redisStreamReader) connect(ctx context.Context) (redisReceiver, error) {
	within, cancel := context.WithTimeout(ctx, redisConnectTimeout)
	defer cancel()
	client, err := r.t.streamClient(within, r.key)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(within, func() { _ = client.Close() })
	err = r.locate(within, client, false)
	switch {
	case !stop() && ctx.Err() != nil:
		return nil, ctx.Err()
	case within.Err() != nil:
		err = errRedisSilent
	case err == nil:
		return func(ctx context.Context) error { return r.receive(ctx, client) }, nil
	}
	_ = client.Close()
	r.t.forgetSlots(ctx)
	return nil, err
}

// locate fixes the position when the subscription begins, and later finds out whether it is still one of this stream.
// What was trimmed behind it, the next entry tells. Nothing was missed of a stream that has expired while connected.
func (r *redisStreamReader) locate(ctx context.Context, client *redis.Client, connected bool) error {
	newest, err := redisNewest.Run(ctx, client, []string{r.key}).Text()
	switch {
	case err != nil:
		return explainRedisStream(err)
	case r.position == "":
		r.position = newest
	case !streamIDBefore(newest, r.position):
	case connected && newest == redisStreamStart:
		r.position = newest
	default: // it was lost, or is an older copy
		r.position = newest
		r.gap()
	}
	return nil
}

// receive reads until ctx or the connection ends, and no faster than the subscriber.
func (r *redisStreamReader) receive(ctx context.Context, client *redis.Client) error {
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer func() {
		stop()
		_ = client.Close()
	}()
	count := 1 // the size of what waits is unknown
	for {
		entries, err := r.read(ctx, client, count)
		if err != nil {
			return err
		}
		bytes := 1
		for _, entry := range entries {
			frame, err := r.take(entry)
			if err != nil {
				r.t.report(r.topic, err)
				continue
			}
			select {
			case r.frames <- frame:
			case <-ctx.Done():
				return ctx.Err()
			}
			bytes += len(frame)
		}
		if len(entries) > 0 {
			count = max(1, min(redisReadMost, redisReadBytes*len(entries)/bytes))
		}
	}
}

// read returns up to count entries, none if none comes within an interval: then it has looked whether the position
// is still one of this stream. All of them must have come an interval later, or the server counts as dead.
func (r *redisStreamReader) read(ctx context.Context, client *redis.Client, count int) ([]redis.XMessage, error) {
	interval := r.t.options.PingInterval
	within, cancel := context.WithTimeout(ctx, 2*interval)
	defer cancel()
	streams, err := client.XRead(within, &redis.XReadArgs{
		Streams: []string{r.key, r.position}, Count: int64(count), Block: interval,
	}).Result()
	if errors.Is(err, redis.Nil) {
		err = r.locate(within, client, true)
	}
	var netErr net.Error
	switch {
	case errors.As(err, &netErr) && netErr.Timeout():
		return nil, errRedisSilent
	case err != nil:
		return nil, explainRedisStream(err)
	case len(streams) == 0:
		return nil, nil
	}
	return streams[0].Messages, nil
}

// take moves on to an entry, and returns its frame.
func (r *redisStreamReader) take(entry redis.XMessage) ([]byte, error) {
	before := r.position
	r.position = entry.ID
	prev, hasPrev := entry.Values[redisStreamPrev].(string)
	frame, hasFrame := entry.Values[redisStreamFrame].(string)
	if !hasPrev || !hasFrame {
		return nil, fmt.Errorf("entry %s of the stream is not a frame", entry.ID)
	}
	if prev != before {
		r.gap()
	}
	return []byte(frame), nil
}

// gap tells of frames that were missed.
func (r *redisStreamReader) gap() {
	r.t.gaps.Add(1)
	r.t.report(r.topic, ErrStreamGap)
	r.t.announce(r.topic, false)
	r.t.announce(r.topic, true)
}
