// Report runs the benchmarks several times and writes RESULTS.md: medians of the figures, and for each goal of
// the project the ratio that it speaks of, as the median of the ratios of the single runs, since absolute figures
// drift with the machine.
//
//	go run ./cmd/report [-count 5] [-benchtime 50ms] [-bench .] [-o RESULTS.md]
//
// It is run in the folder of the module.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	count := flag.Int("count", 5, "runs of which the medians are taken")
	benchtime := flag.String("benchtime", "50ms", "time for one benchmark in one run")
	bench := flag.String("bench", ".", "benchmarks to run")
	out := flag.String("o", "RESULTS.md", "file to write")
	flag.Parse()
	if err := report(*count, *benchtime, *bench, *out); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func report(count int, benchtime, bench, out string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "bench.test")
	if _, err := run("go", "test", "-c", "-o", binary, "."); err != nil {
		return err
	}
	var r results
	for i := range count {
		fmt.Fprintf(os.Stderr, "run %d of %d\n", i+1, count)
		// One process each: what one run leaves on the heap does not slow the next.
		text, err := run(binary, "-test.run", "^$", "-test.bench", bench, "-test.benchtime", benchtime, "-test.timeout", "15m")
		if err != nil {
			return err
		}
		r.add(text)
	}
	idle, err := run(binary, "-test.run", "^TestIdleTraffic$", "-test.v")
	if err != nil {
		return err
	}
	return os.WriteFile(out, page(&r, idle), 0o644) //nolint:gosec // a page for everybody to read
}

// run returns what a command prints.
func run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...) //nolint:gosec,noctx // our own binary; it has a time-out
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s", filepath.Base(name), args, err, bytes.TrimSpace(text))
	}
	return text, nil
}
