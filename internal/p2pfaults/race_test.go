//go:build linux && race

package p2pfaults

const raceEnabled = true
