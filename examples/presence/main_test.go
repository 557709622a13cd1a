package main

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

const want = `everybody is online
  pod-1 sees: ada (phone, pod-1), bob (laptop, pod-1), eve (tablet, pod-2), joe (phone, pod-3)
  pod-2 sees: ada (phone, pod-1), bob (laptop, pod-1), eve (tablet, pod-2), joe (phone, pod-3)
  pod-3 sees: ada (phone, pod-1), bob (laptop, pod-1), eve (tablet, pod-2), joe (phone, pod-3)

pod-2 was shut down: its users are gone at once
  pod-1 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)
  pod-3 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)

pod-3 is cut off: for the others its users are there for the lease, in case it is only a hiccup
  pod-1 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)
  pod-3 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)

the lease is over
  pod-1 sees: ada (phone, pod-1), bob (laptop, pod-1)
  pod-3 sees: joe (phone, pod-3)

pod-3 is back, and with it, by itself, its users
  pod-1 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)
  pod-3 sees: ada (phone, pod-1), bob (laptop, pod-1), joe (phone, pod-3)

pod-1 crashed without a word: its users go when the lease is over
  pod-3 sees: joe (phone, pod-3)

pod-1 is started again, and ada reconnects
  pod-1 sees: ada (phone, pod-1), joe (phone, pod-3)
  pod-3 sees: ada (phone, pod-1), joe (phone, pod-3)

`

// What the program prints, in the fake time of a synctest bubble.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(t.Context(), &out))
		require.Equal(t, want, out.String())
	})
}
