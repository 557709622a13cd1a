package main

import (
	"bytes"
	"maps"
	"slices"
)

// change is what turns one set of flags into another.
type change struct {
	set    flagSet  // new flags, and those with another value
	remove []string // names, sorted
}

// diff returns what turns have into want.
func diff(have, want flagSet) change {
	c := change{set: flagSet{}}
	for name, value := range want {
		if old, held := have[name]; !held || !bytes.Equal(old, value) {
			c.set[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, wanted := want[name]; !wanted {
			c.remove = append(c.remove, name)
		}
	}
	return c
}

func (c change) empty() bool { return len(c.set) == 0 && len(c.remove) == 0 }

// names returns the names of all flags that the change touches.
func (c change) names() []string { return append(slices.Sorted(maps.Keys(c.set)), c.remove...) }
