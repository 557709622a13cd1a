package main

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiff(t *testing.T) {
	have := flagSet{"same": []byte(`1`), "other": []byte(`1`), "gone": []byte(`1`), "away": []byte(`1`)}
	want := flagSet{"same": []byte(`1`), "other": []byte(`2`), "new": []byte(`null`)}
	c := diff(have, want)
	require.Equal(t, flagSet{"other": []byte(`2`), "new": []byte(`null`)}, c.set)
	require.Equal(t, []string{"away", "gone"}, c.remove)
	require.Equal(t, []string{"new", "other", "away", "gone"}, c.names())
	require.True(t, diff(have, have).empty())
	require.True(t, diff(nil, flagSet{}).empty())
}

// Whatever the two sets are, the difference turns one into the other and touches nothing else.
func TestDiffTurnsOneIntoTheOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := func() flagSet {
		flags := flagSet{}
		for range rng.IntN(8) {
			flags[strconv.Itoa(rng.IntN(8))] = []byte(strconv.Itoa(rng.IntN(3)))
		}
		return flags
	}
	for range 1000 {
		have, want := random(), random()
		c := diff(have, want)
		got := maps.Clone(have)
		maps.Copy(got, c.set)
		for _, name := range c.remove {
			require.Contains(t, got, name)
			delete(got, name)
		}
		require.Equal(t, want, got)
		for name, value := range c.set {
			require.NotEqual(t, have[name], value)
		}
	}
}
