package fleettest

import (
	"testing"
	"time"
)

const (
	// Patience is how long anything may take that must happen, on a loaded machine.
	Patience = 60 * time.Second

	// pollEvery is how often a test looks.
	pollEvery = 20 * time.Millisecond
)

// Poll looks until ok.
func Poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("gave up waiting for", what)
		}
	}
}
