package main

import (
	"bufio"
	"bytes"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are the figures of several runs.
type results struct {
	runs  []map[metric]float64
	names []string // of the benchmarks, in the order in which they ran first
	units map[string][]string
	cpu   string
}

// metric is one figure of one benchmark.
type metric struct {
	name, unit string // "Get/keys=10000/…", "ns/op"
}

var procs = regexp.MustCompile(`-\d+$`) // GOMAXPROCS, at the end of a name

// add takes in the output of one run.
func (r *results) add(text []byte) {
	run := map[metric]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if cpu, ok := strings.CutPrefix(line, "cpu: "); ok {
			r.cpu = cpu
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		name := procs.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
		r.see(name)
		for f := fields[2:]; len(f) >= 2; f = f[2:] {
			if v, err := strconv.ParseFloat(f[0], 64); err == nil {
				run[metric{name, f[1]}] = v
				if !slices.Contains(r.units[name], f[1]) {
					r.units[name] = append(r.units[name], f[1])
				}
			}
		}
	}
	r.runs = append(r.runs, run)
}

func (r *results) see(name string) {
	if r.units == nil {
		r.units = map[string][]string{}
	}
	if _, ok := r.units[name]; !ok {
		r.units[name] = nil
		r.names = append(r.names, name)
	}
}

// median of what fn makes of the single runs, NaN if none has its figures.
func (r *results) median(fn func(get func(name, unit string) float64) float64) float64 {
	var vs []float64
	for _, run := range r.runs {
		v := fn(func(name, unit string) float64 {
			if v, ok := run[metric{name, unit}]; ok {
				return v
			}
			return math.NaN()
		})
		if !math.IsNaN(v) {
			vs = append(vs, v)
		}
	}
	if len(vs) == 0 {
		return math.NaN()
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// figure is the median of one metric.
func (r *results) figure(name, unit string) float64 {
	return r.median(func(get func(name, unit string) float64) float64 { return get(name, unit) })
}
