package podsharetest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

const seedVariable = "PODSHARETEST_SEED"

// chooseSeed returns the seed that the options or the environment ask for, else a new one.
func chooseSeed(tb testing.TB, asked *uint64) uint64 {
	tb.Helper()
	if asked != nil {
		return *asked
	}
	text := os.Getenv(seedVariable)
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		tb.Fatalf("podsharetest: %s is no seed: %v", seedVariable, err)
	}
	return seed
}
