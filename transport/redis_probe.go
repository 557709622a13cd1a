package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisServer is what is known of a server.
type redisServer struct {
	major   int // 0: it does not say
	cluster bool
}

// probeRedis asks the server whether it can be used.
func probeRedis(client redis.UniversalClient, opts RedisOptions) (redisServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), redisConnectTimeout)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return redisServer{}, explainRedis(err, opts)
	}
	// HELLO is as old as Redis 6, changes nothing without an argument, and needs no right. Redis 6.0, and what
	// imitates it, wants an argument: it tells less of itself then.
	reply, err := client.Do(ctx, "hello").Result()
	switch {
	case err == nil:
		return parseHello(reply)
	case strings.Contains(err.Error(), "wrong number of arguments"):
		return redisServer{}, nil
	case strings.Contains(err.Error(), "unknown command"):
		return redisServer{}, errors.New("redis: the server is too old, Redis 6.0 or newer is needed")
	default:
		return redisServer{}, explainRedis(err, opts)
	}
}

// parseHello reads the reply of HELLO, a map, or a list of names and values in turn.
func parseHello(reply any) (s redisServer, err error) {
	fields := map[any]any{}
	switch r := reply.(type) {
	case map[any]any:
		fields = r
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			fields[r[i]] = r[i+1]
		}
	default:
		return s, fmt.Errorf("redis: the server answers HELLO by %v: it is not Redis", reply)
	}
	version, _ := fields["version"].(string)
	major, _, _ := strings.Cut(version, ".")
	s.major, _ = strconv.Atoi(major)
	s.cluster = fields["mode"] == "cluster"
	return s, nil
}

// explainRedis says what is wrong in the words of [RedisOptions].
func explainRedis(err error, opts RedisOptions) error {
	where := "the server"
	if opts.Addr != "" {
		where = opts.Addr
	}
	var notTLS tls.RecordHeaderError
	var netErr net.Error
	text := err.Error()
	switch {
	case strings.Contains(text, "NOAUTH"):
		return fmt.Errorf("redis: %s wants a password: %w", where, err)
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return fmt.Errorf("redis: %s refuses Username or Password: %w", where, err)
	case strings.Contains(text, "without any password configured"):
		return fmt.Errorf("redis: %s has no password, but RedisOptions has one: %w", where, err)
	case strings.Contains(text, "NOPERM"):
		return fmt.Errorf("redis: the user of %s lacks a right, see docs/redis.md: %w", where, err)
	case errors.As(err, &notTLS):
		return fmt.Errorf("redis: %s does not speak TLS, but RedisOptions.TLSConfig is set: %w", where, err)
	case opts.TLSConfig != nil && (isHangUp(err) || errors.Is(err, context.DeadlineExceeded)):
		return fmt.Errorf("redis: no TLS handshake with %s, perhaps it does not speak TLS: %w", where, err) // Redis waits for a line's end
	case opts.Client == nil && opts.TLSConfig == nil && (isHangUp(err) || strings.Contains(text, "can't parse")):
		return fmt.Errorf("redis: %s does not answer as Redis does, perhaps it wants TLS (RedisOptions.TLSConfig): %w", where, err)
	case errors.As(err, &netErr), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("redis: %s cannot be reached: %w", where, err)
	default:
		return fmt.Errorf("redis: %s cannot be used: %w", where, err)
	}
}

// isHangUp tells whether the other side closed the connection.
func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "connection reset by peer")
}
