package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/podshare/podshare"
)

// A table is one hash per section and topic. A field is a row's key, its value:
//
//	head length, 4 bytes big-endian | head | body
//
// What somebody else wrote there counts as a row too, so that a store can replace it: an empty value as none, one that
// is too short or whose head is empty or reaches beyond it as a head without a body.

// redisSections are all sections of a table. Each script gets both hashes, even to leave one alone: they expire
// together or not at all.
func redisSections() []podshare.SnapshotSection {
	return []podshare.SnapshotSection{podshare.SnapshotVector, podshare.SnapshotEntries}
}

// SnapshotHeads implements [podshare.SnapshotTable], in one round trip, and renews the expiry of the table.
// Errors are those of [RedisTransport.Publish].
func (t *RedisTransport) SnapshotHeads(ctx context.Context, topic string, names []podshare.RowName) ([][]byte, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	args := []any{t.snapshotMillis()}
	var order []int // of the reply, as indices of names
	for _, section := range redisSections() {
		count := len(args)
		args = append(args, 0)
		for i, name := range names {
			if name.Section == section {
				args, order = append(args, name.Key), append(order, i)
			}
		}
		args[count] = len(args) - count - 1
	}
	if len(order) != len(names) {
		return nil, errRedisSection
	}
	found, err := redisHeads.Run(ctx, t.client, t.tableKeys(topic), args...).Slice()
	if err != nil {
		return nil, t.failed("read heads", topic, explainRedisTable(err))
	}
	if len(found) != len(names) {
		return nil, t.failed("read heads", topic, fmt.Errorf("the server returns %d heads for %d rows", len(found), len(names)))
	}
	heads := make([][]byte, len(names))
	for i, head := range found {
		if h, ok := head.(string); ok {
			heads[order[i]] = []byte(h)
		}
	}
	return heads, nil
}

// SnapshotRows implements [podshare.SnapshotTable], in one round trip for each section. Errors are those of
// [RedisTransport.Publish].
func (t *RedisTransport) SnapshotRows(
	ctx context.Context, topic string, names []podshare.RowName,
) ([]podshare.SnapshotRow, error) {
	if err := t.check(ctx, topic); err != nil {
		return nil, err
	}
	rows := make([]podshare.SnapshotRow, len(names))
	found := 0
	for _, section := range redisSections() {
		var fields []string
		var order []int // of the reply, as indices of names
		for i, name := range names {
			if rows[i].Key = name.Key; name.Section == section {
				fields, order = append(fields, name.Key), append(order, i)
			}
		}
		found += len(fields)
		if len(fields) == 0 {
			continue
		}
		values, err := t.client.HMGet(ctx, t.names.rows(topic, section), fields...).Result()
		if err != nil {
			return nil, t.failed("read rows", topic, explainRedisTable(err))
		}
		for i, value := range values {
			if v, ok := value.(string); ok && v != "" {
				rows[order[i]].Head, rows[order[i]].Body = unpackRedisRow([]byte(v))
			}
		}
	}
	if found != len(names) {
		return nil, errRedisSection
	}
	return rows, nil
}

// SwapSnapshotRows implements [podshare.SnapshotTable], in one round trip, and renews the expiry of the table. Redis
// does nothing else meanwhile: 2 to 3 µs a row. Errors are those of [RedisTransport.Publish].
func (t *RedisTransport) SwapSnapshotRows(ctx context.Context, topic string, changes []podshare.RowChange) (bool, error) {
	if err := t.check(ctx, topic); err != nil {
		return false, err
	}
	args := append(make([]any, 0, 3+3*len(changes)), t.snapshotMillis())
	sent := 0
	for _, section := range redisSections() {
		count := len(args)
		args = append(args, 0)
		for _, c := range changes {
			if c.Section == section {
				args = append(args, c.Key, c.Was, packRedisRow(c))
			}
		}
		n := (len(args) - count - 1) / 3
		args[count] = n
		sent += n
	}
	if sent != len(changes) {
		return false, errRedisSection
	}
	made, err := t.runOnce(ctx, redisSwap, t.tableKeys(topic), args)
	return made == int64(1), t.failed("change rows", topic, explainRedisTable(err))
}

// ScanSnapshot implements [podshare.SnapshotTable]. A step has about 500 rows; those of a small table come in one.
// Errors are those of [RedisTransport.Publish], and fn's.
func (t *RedisTransport) ScanSnapshot(
	ctx context.Context, topic string, section podshare.SnapshotSection, fn func(rows []podshare.SnapshotRow) error,
) error {
	if err := t.check(ctx, topic); err != nil {
		return err
	}
	server, cursor := "", "0"
	for {
		step, err := t.scanStep(ctx, topic, section, cursor)
		if err != nil {
			return t.failed("scan", topic, err)
		}
		if cursor != "0" && step.server != server {
			cursor = "0" // it means nothing to a server that was started, or took over, meanwhile
			continue
		}
		if len(step.rows) > 0 {
			if err := fn(step.rows); err != nil {
				return err
			}
		}
		if step.next == "0" {
			return nil
		}
		server, cursor = step.server, step.next
	}
}

// redisScanStep is a part of a scan.
type redisScanStep struct {
	server string // which process answered; "" if it does not say
	next   string // the cursor; "0": it was the last part
	rows   []podshare.SnapshotRow
}

func (t *RedisTransport) scanStep(
	ctx context.Context, topic string, section podshare.SnapshotSection, cursor string,
) (s redisScanStep, err error) {
	keys := []string{t.names.rows(topic, section)}
	reply, err := redisScan.Run(ctx, t.client, keys, cursor).Slice()
	if err != nil {
		return s, explainRedisTable(err)
	}
	var values []any
	if len(reply) == 3 {
		s.server, _ = reply[0].(string)
		s.next, _ = reply[1].(string)
		values, _ = reply[2].([]any)
	}
	if s.next == "" {
		return s, fmt.Errorf("the server answers a scan by %v", reply)
	}
	for i := 0; i+1 < len(values); i += 2 {
		key, _ := values[i].(string)
		value, _ := values[i+1].(string)
		if value != "" {
			head, body := unpackRedisRow([]byte(value))
			s.rows = append(s.rows, podshare.SnapshotRow{Key: key, Head: head, Body: body})
		}
	}
	return s, nil
}

// errRedisSection is a mistake of the caller.
var errRedisSection = errors.New("redis: a row's section is neither the vector nor the entries")

// tableKeys returns the hashes of a topic.
func (t *RedisTransport) tableKeys(topic string) []string {
	sections := redisSections()
	keys := make([]string, len(sections))
	for i, section := range sections {
		keys[i] = t.names.rows(topic, section)
	}
	return keys
}

// runOnce runs a script that go-redis must not send again after a lost answer: a change that was made the first time
// would be refused the second time.
func (t *RedisTransport) runOnce(ctx context.Context, script redisScript, keys []string, args []any) (any, error) {
	command := make([]any, 0, 3+len(keys)+len(args))
	command = append(command, "evalsha", script.Hash(), len(keys))
	for _, key := range keys {
		command = append(command, key)
	}
	command = append(command, args...)
	cmd := onceCmd{redis.NewCmd(ctx, command...)}
	err := t.client.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		command[0], command[1] = "eval", script.source
		cmd = onceCmd{redis.NewCmd(ctx, command...)}
		err = t.client.Process(ctx, cmd)
	}
	return cmd.Val(), err
}

// onceCmd is a command that go-redis does not send again.
type onceCmd struct{ *redis.Cmd }

func (onceCmd) NoRetry() bool { return true }

func (t *RedisTransport) snapshotMillis() int64 { return max(t.options.SnapshotTTL, 0).Milliseconds() }

func explainRedisTable(err error) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("a key of the table, which ends in :rows:vector or :rows:entries, holds what is no hash; delete it: %w", err)
	}
	return err
}

// What a change makes of a row, in the place of a packed row, which is longer.
const (
	redisRowGone = "-"
	redisRowKept = "="
)

// packRedisRow returns the value that c makes of a row.
func packRedisRow(c podshare.RowChange) any {
	switch {
	case len(c.Head) == 0:
		return redisRowGone
	case bytes.Equal(c.Head, c.Was):
		return redisRowKept
	}
	b := make([]byte, 0, 4+len(c.Head)+len(c.Body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Head)))
	b = append(b, c.Head...)
	return append(b, c.Body...)
}

// unpackRedisRow returns the parts of a value. The scripts do the same.
func unpackRedisRow(b []byte) (head, body []byte) {
	if len(b) < 5 {
		return b, nil
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n == 0 || n > uint64(len(b)-4) {
		return b, nil
	}
	return b[4 : 4+n : 4+n], b[4+n:]
}
