package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
)

// How much is shown of large files and fleets.
const (
	maxRows    = 24
	maxColumns = 6  // of single pods; the others share one more
	maxCell    = 24 // characters
)

// printer writes for people. Several goroutines may use it: what pods report comes in between.
type printer struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func newPrinter(w io.Writer) *printer { return &printer{w: w} }

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format, args...)
}

// rows prints rows of cells as an aligned table.
func (p *printer) rows(rows [][]string) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	t.Flush()
	p.printf("%s", b.Bytes())
}

// change prints what an edit changes.
func (p *printer) change(revision int, before flagSet, c change) {
	names := c.names()
	var rows [][]string
	for _, name := range names[:min(len(names), maxRows)] {
		old, held := before[name]
		value, set := c.set[name]
		switch {
		case !set:
			rows = append(rows, []string{"- " + cell(name), "(was " + jsonCell(old) + ")"})
		case !held:
			rows = append(rows, []string{"+ " + cell(name), jsonCell(value)})
		default:
			rows = append(rows, []string{"~ " + cell(name), jsonCell(old) + " → " + jsonCell(value)})
		}
	}
	p.printf("\nRevision %d:\n", revision)
	p.rows(append(rows, more(names)...))
}

// table prints what each pod sees, and how long after began it saw the revision. Of a large file it shows
// only the flags that have changed.
func (p *printer) table(pods []*pod, seen map[*pod]sighting, c change, revision int, began time.Time) {
	columns := columnsOf(pods)
	names := namesOf(columns)
	if len(names) > maxRows && !c.empty() {
		names = c.names()
	}
	head, foot := []string{"flag"}, []string{"seen after"}
	for _, col := range columns {
		head = append(head, col.title)
		foot = append(foot, col.delay(seen, revision, began))
	}
	rows := [][]string{head}
	differs := false
	for _, name := range names[:min(len(names), maxRows)] {
		row := []string{cell(name)}
		for _, col := range columns {
			value, same := col.value(name, columns[0].views[0][name])
			if !same {
				value, differs = value+" *", true
			}
			row = append(row, value)
		}
		rows = append(rows, row)
	}
	rows = append(rows, more(names)...)
	p.printf("\n")
	p.rows(append(rows, foot))
	if differs {
		p.printf("  * differs from %s\n", columns[0].title)
	}
}

// more is the row that says how many do not fit.
func more(names []string) [][]string {
	if len(names) <= maxRows {
		return nil
	}
	return [][]string{{fmt.Sprintf("… and %d more", len(names)-maxRows)}}
}

// column is a column of the table: one pod, or all that have no column of their own.
type column struct {
	title string
	pods  []*pod
	views []flagSet // what each of them sees
}

func columnsOf(pods []*pod) []column {
	var columns []column
	for i, p := range pods {
		if i <= maxColumns {
			columns = append(columns, column{title: p.name})
		}
		last := &columns[len(columns)-1]
		last.pods = append(last.pods, p)
		last.views = append(last.views, p.flags())
		if n := len(last.pods); n > 1 {
			last.title = fmt.Sprintf("%d more", n)
		}
	}
	return columns
}

func namesOf(columns []column) []string {
	names := map[string]bool{}
	for _, col := range columns {
		for _, view := range col.views {
			for name := range view {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// value returns the cell of a flag, and whether all pods of the column have the value want.
func (col *column) value(name string, want []byte) (text string, same bool) {
	first, held := col.views[0][name]
	text, same = jsonCell(first), true
	if !held {
		text = "-"
	}
	for _, view := range col.views {
		same = same && bytes.Equal(view[name], want)
		if !bytes.Equal(view[name], first) {
			text = "various"
		}
	}
	return text, same
}

// delay returns how long it took until all pods of the column saw a revision.
func (col *column) delay(seen map[*pod]sighting, revision int, began time.Time) string {
	var last time.Time
	for _, p := range col.pods {
		if seen[p].revision < revision {
			return "not yet"
		}
		if seen[p].at.After(last) {
			last = seen[p].at
		}
	}
	if last.Before(began) {
		return "had it"
	}
	return duration(last.Sub(began))
}

// duration prints in µs, so that columns compare at a glance.
func duration(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }

// jsonCell is cell for JSON, without the escapes that it needs inside HTML only.
func jsonCell(value []byte) string {
	return cell(strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(value)))
}

// cell makes a short text of one line.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return s
}
