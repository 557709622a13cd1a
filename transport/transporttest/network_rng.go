package transporttest

import (
	"bytes"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// rng is one sequence of random values. happens and between draw exactly one, whatever their arguments.
type rng struct{ *rand.Rand }

// newRNG returns the sequence that a seed has for a name of several parts.
func newRNG(seed uint64, name ...string) rng {
	h := fnv.New64a()
	for _, part := range name {
		_, _ = io.WriteString(h, part+"\x00")
	}
	return rng{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// happens is true with probability p.
func (r rng) happens(p float64) bool { return r.Float64() < p }

// between returns a duration from lo to hi, both included.
func (r rng) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Float64()*float64(hi-lo+1))
}

// corrupted returns a damaged copy of b, which must not be empty: shorter, or with 1 to 4 bits flipped.
func corrupted(b []byte, damage uint64) []byte {
	r := rand.New(rand.NewPCG(damage, 0))
	if r.IntN(2) == 0 {
		return bytes.Clone(b[:r.IntN(len(b))])
	}
	damaged := bytes.Clone(b)
	for range 1 + r.IntN(4) {
		damaged[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	if bytes.Equal(damaged, b) { // the flips undid each other
		damaged[0] ^= 1
	}
	return damaged
}
