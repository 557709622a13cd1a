package cells

import (
	"fmt"
	"testing"
)

// equal ends the test unless got is want.
func equal[T comparable](t testing.TB, want, got T, what string, args ...any) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", fmt.Sprintf(what, args...), got, want)
	}
}

// check ends the test unless ok.
func check(t testing.TB, ok bool, what string, args ...any) {
	t.Helper()
	if !ok {
		t.Fatalf("not so: "+what, args...)
	}
}
