package crdt

import (
	"encoding/json"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// PNCounter is a counter that goes up and down: a [GCounter] of what was added and one of what was taken
// away. All that GCounter says of nodes, goroutines and a Delete of the key holds here: with the total of a pod
// both of its sums come back.
//
// It knows no bounds. Two pods that each see 1 left may both take it, and the value is then −1.
type PNCounter struct {
	up, down GCounter
}

// Add returns c with n more for the node, less if n is negative.
func (c PNCounter) Add(node string, n int64) PNCounter {
	if n < 0 {
		return PNCounter{c.up, c.down.Add(node, uint64(-(n+1))+1)}
	}
	return PNCounter{c.up.Add(node, uint64(n)), c.down}
}

// Value returns what was added less what was taken away. It stops at the ends of int64.
func (c PNCounter) Value() int64 { return difference(c.up.Value(), c.down.Value()) }

// Of returns what a node has added less what it has taken away.
func (c PNCounter) Of(node string) int64 { return difference(c.up.Of(node), c.down.Of(node)) }

func difference(up, down uint64) int64 {
	if up >= down {
		return int64(min(up-down, math.MaxInt64))
	}
	return -int64(min(down-up-1, math.MaxInt64)) - 1
}

// Merge returns the larger totals of each node, in both directions.
func (c PNCounter) Merge(o PNCounter) PNCounter {
	return PNCounter{c.up.Merge(o.up), c.down.Merge(o.down)}
}

type pnCounterJSON struct {
	Up   GCounter `json:"up"`
	Down GCounter `json:"down"`
}

// MarshalJSON writes {"up": {"node": total}, "down": {"node": total}}.
func (c PNCounter) MarshalJSON() ([]byte, error) { return json.Marshal(pnCounterJSON{c.up, c.down}) }

// UnmarshalJSON reads what MarshalJSON writes. A negative total is an error.
func (c *PNCounter) UnmarshalJSON(b []byte) error {
	var v pnCounterJSON
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	c.up, c.down = v.Up, v.Down
	return nil
}

// EncodeMsgpack writes both counters, one after the other in an array.
func (c PNCounter) EncodeMsgpack(enc *msgpack.Encoder) error {
	if err := enc.EncodeArrayLen(2); err != nil {
		return err
	}
	if err := c.up.EncodeMsgpack(enc); err != nil {
		return err
	}
	return c.down.EncodeMsgpack(enc)
}

// DecodeMsgpack reads what EncodeMsgpack writes. A negative total is an error.
func (c *PNCounter) DecodeMsgpack(dec *msgpack.Decoder) error {
	var v PNCounter
	if err := decodeFixed(dec, 2); err != nil {
		return err
	}
	if err := v.up.DecodeMsgpack(dec); err != nil {
		return err
	}
	if err := v.down.DecodeMsgpack(dec); err != nil {
		return err
	}
	*c = v
	return nil
}
