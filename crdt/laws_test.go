package crdt_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

// nodes are the names of the replicas of a law's run.
var nodes = []string{"a", "b", "c"}

// lattice is a type under test, and how replicas of it change.
type lattice[T interface{ Merge(T) T }] struct {
	// change returns x changed by the replica, drawing what is random from t.
	change func(t *rapid.T, replica int, x T) T
}

// states runs three replicas that change and merge at random, as stores do, and returns what they come to.
func (l lattice[T]) states(t *rapid.T) [3]T {
	var s [3]T
	for range rapid.IntRange(0, 25).Draw(t, "steps") {
		i := rapid.IntRange(0, 2).Draw(t, "replica")
		if rapid.Bool().Draw(t, "merge") {
			s[i] = s[i].Merge(s[rapid.IntRange(0, 2).Draw(t, "from")])
		} else {
			s[i] = l.change(t, i, s[i])
		}
	}
	return s
}

// check tests what every type promises. Equal states are equal all through, so require.Equal compares them.
func (l lattice[T]) check(t *testing.T) {
	law := func(name string, test func(t *rapid.T, a, b, c T)) {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s := l.states(t)
			before := encoded(t, s)
			test(t, s[0], s[1], s[2])
			require.Equal(t, before, encoded(t, s), "the states themselves must not change")
		}))
	}
	law("merge is commutative", func(t *rapid.T, a, b, _ T) { require.Equal(t, a.Merge(b), b.Merge(a)) })
	law("merge is associative", func(t *rapid.T, a, b, c T) {
		require.Equal(t, a.Merge(b).Merge(c), a.Merge(b.Merge(c)))
	})
	law("merge is idempotent", func(t *rapid.T, a, b, _ T) {
		require.Equal(t, a, a.Merge(a))
		require.Equal(t, a.Merge(b), a.Merge(b).Merge(b))
	})
	law("zero is neutral", func(t *rapid.T, a, _, _ T) {
		var zero T
		require.Equal(t, a, a.Merge(zero))
		require.Equal(t, a, zero.Merge(a))
	})
	law("every change is a step upwards", func(t *rapid.T, a, b, _ T) {
		changed := l.change(t, 0, a)
		require.Equal(t, changed, a.Merge(changed))
		require.Equal(t, changed, changed.Merge(a))
		require.Equal(t, changed.Merge(b), a.Merge(b).Merge(changed))
	})
	law("round trips", func(t *rapid.T, a, b, _ T) {
		for name, c := range codecs {
			m := a.Merge(b)
			first, err := c.marshal(m)
			require.NoError(t, err, name)
			second, err := c.marshal(b.Merge(a))
			require.NoError(t, err, name)
			require.Equal(t, string(first), string(second), "%s: equal states, equal bytes", name)
			var got T
			require.NoError(t, c.unmarshal(first, &got), "%s: %s", name, first)
			require.Equal(t, m, got, "%s: %s", name, first)
			require.NoError(t, c.unmarshal(second, &got), "into a state that is not empty")
			require.Equal(t, m, got, name)
		}
	})
	law("decoding takes any input", func(t *rapid.T, a, b, _ T) {
		for name, c := range codecs {
			input, err := c.marshal(a)
			if err != nil {
				continue
			}
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				i := rapid.IntRange(0, len(input)-1).Draw(t, "at")
				input[i] = rapid.OneOf(rapid.Byte(), rapid.SampledFrom(input)).Draw(t, "byte")
			}
			var got T
			if err := c.unmarshal(input, &got); err != nil {
				continue
			}
			again, err := c.marshal(got) // what was accepted is a state like any other
			require.NoError(t, err, name)
			var same T
			require.NoError(t, c.unmarshal(again, &same), name)
			require.Equal(t, got, same, name)
			require.Equal(t, got, got.Merge(got), name)
			_ = got.Merge(b).Merge(got) // may say other things under one tag or stamp, and is no state of a run
		}
	})
}

var codecs = map[string]struct {
	marshal   func(v any) ([]byte, error)
	unmarshal func(b []byte, v any) error
}{
	"json":    {json.Marshal, json.Unmarshal},
	"msgpack": {msgpack.Marshal, msgpack.Unmarshal},
}

func encoded(t require.TestingT, v any) []byte {
	b, err := msgpack.Marshal(v)
	require.NoError(t, err)
	return b
}

// written returns v as JSON, for examples of what is on the wire.
func written(t require.TestingT, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// words are few, so that replicas meet on them, and odd.
var words = rapid.SampledFrom([]string{"", "milk", "bread", "ä\u2028<", "\x00", "tea"})

// refused fails for every input that decoding accepts.
func refused[T any](t *testing.T, asJSON []string, asMsgpack []any) {
	t.Helper()
	for _, input := range asJSON {
		var v T
		require.Error(t, json.Unmarshal([]byte(input), &v), input)
	}
	for _, input := range asMsgpack {
		b, err := msgpack.Marshal(input)
		require.NoError(t, err)
		var v T
		require.Error(t, msgpack.Unmarshal(b, &v), "%v", input)
	}
}

func replicas() []*crdt.Replica {
	var rs []*crdt.Replica
	for _, node := range nodes {
		rs = append(rs, crdt.NewReplica(node))
	}
	return rs
}
