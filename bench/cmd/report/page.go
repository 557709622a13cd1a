package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
)

// page is RESULTS.md.
func page(r *results, idle []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Results\n\n")
	fmt.Fprintf(&b, "Written by `go run ./cmd/report`: do not edit. %s %s/%s, %s, GOMAXPROCS=%d; medians of %d runs. "+
		"Absolute figures drift with the machine; the ratios are taken within each run.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, r.cpu, runtime.GOMAXPROCS(0), len(r.runs))
	fmt.Fprintf(&b, "## Goals\n\n| goal | limit | measured | met |\n|---|---|---|---|\n")
	for _, g := range goals() {
		v := r.median(g.value)
		if math.IsNaN(v) {
			continue // not run
		}
		sign, met := "≤", "no"
		if g.atLeast {
			sign = "≥"
		}
		if g.met(v) {
			met = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s %s %s | %s %s | %s |\n", g.says, sign, number(g.limit), g.unit, number(v), g.unit, met)
	}
	fmt.Fprintf(&b, "\n## Idle fleets\n\nFive minutes of virtual time; the test fails above 2,000 B/s.\n\n")
	lines := bufio.NewScanner(bytes.NewReader(idle))
	for lines.Scan() {
		if _, line, ok := strings.Cut(lines.Text(), "idle_test.go:"); ok {
			_, line, _ = strings.Cut(line, ": ")
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	fmt.Fprintf(&b, "\n## Figures\n")
	group := ""
	for _, name := range r.names {
		if g, _, _ := strings.Cut(name, "/"); g != group {
			group = g
			fmt.Fprintf(&b, "\n### %s\n\n| case | figures |\n|---|---|\n", g)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.TrimPrefix(name, group+"/"), figures(r, name))
	}
	return b.Bytes()
}

func figures(r *results, name string) string {
	units := r.units[name]
	parts := make([]string, len(units))
	for i, unit := range units {
		parts[i] = number(r.figure(name, unit)) + " " + unit
	}
	return strings.Join(parts, ", ")
}

// number shows three digits, and all of those before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
