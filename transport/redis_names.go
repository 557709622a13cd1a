package transport

import (
	"strings"

	"github.com/podshare/podshare"
)

// redisNames makes the names of channels and keys:
//
//	{<prefix>:<topic>}:frames            channel
//	{<prefix>:<topic>}:stream            stream
//	{<prefix>:<topic>}:snapshot          string
//	{<prefix>:<topic>}:rows:<section>    hash
//
// What stands between the first pair of braces decides on the slot in a Cluster, so all of a topic shares one. For
// the braces to pair up and no two pairs of prefix and topic to make one name, both are escaped: '}' as %7D,
// '%' as %25, and ':' as %3A in the prefix.
type redisNames struct {
	prefix string // with the brace and the colon
}

func newRedisNames(prefix string) redisNames {
	return redisNames{prefix: "{" + strings.ReplaceAll(escapeRedis(prefix), ":", "%3A") + ":"}
}

func (n redisNames) channel(topic string) string  { return n.of(topic) + "frames" }
func (n redisNames) stream(topic string) string   { return n.of(topic) + "stream" }
func (n redisNames) snapshot(topic string) string { return n.of(topic) + "snapshot" }

func (n redisNames) rows(topic string, section podshare.SnapshotSection) string {
	return n.of(topic) + "rows:" + string(section)
}

func (n redisNames) of(topic string) string { return n.prefix + escapeRedis(topic) + "}:" }

func escapeRedis(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "%", "%25"), "}", "%7D")
}
