package podsharetest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/podshare/podshare"
)

const (
	reportedKeys  = 10 // that differ; the others are counted
	reportedRunes = 60 // of a value
)

// describe says how the pods stand to each other, one a line.
func (c *Cluster[T]) describe() string {
	var b strings.Builder
	for _, p := range c.all() {
		c.mu.Lock()
		up, store := p.up, p.run.store
		c.mu.Unlock()
		if up {
			describeHealth(&b, p.name, store.Health())
		} else {
			fmt.Fprintf(&b, "  %s is not running\n", p.name)
		}
	}
	return b.String()
}

func describeHealth(b *strings.Builder, pod string, h podshare.Health) {
	fmt.Fprintf(b, "  %s is %v, hears ", pod, h.State)
	if len(h.Peers) == 0 {
		b.WriteString("nobody\n")
		return
	}
	peers := slices.SortedFunc(slices.Values(h.Peers), func(p, q podshare.PeerHealth) int { return cmp.Compare(p.Node, q.Node) })
	for i, p := range peers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Node)
		if p.Lag > 0 {
			fmt.Fprintf(b, " (lacks %d of its writes)", p.Lag)
		}
	}
	b.WriteByte('\n')
}

// describeDifferences adds the keys on which the pods disagree.
func (c *Cluster[T]) describeDifferences() string {
	var b strings.Builder
	b.WriteString(c.describe())
	all := c.differences(math.MaxInt)
	slices.SortFunc(all, func(d, e difference[T]) int { return strings.Compare(d.key, e.key) })
	stores := c.Stores()
	for i, d := range all {
		if i == reportedKeys {
			fmt.Fprintf(&b, "  … and %d more keys differ\n", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "  key %s differs:\n", shorten(fmt.Sprintf("%q", d.key)))
		d.describe(&b, stores)
	}
	if len(all) == 0 {
		b.WriteString("  all hold the same\n")
	}
	return b.String()
}

// describe says who holds what, those together that agree.
func (d *difference[T]) describe(b *strings.Builder, stores []*podshare.Store[T]) {
	told := make([]bool, len(d.held))
	for i := range d.held {
		if told[i] {
			continue
		}
		var pods []string
		for j := i; j < len(d.held); j++ {
			if !told[j] && d.held[j].same(&d.held[i]) {
				told[j] = true
				pods = append(pods, stores[j].NodeID())
			}
		}
		fmt.Fprintf(b, "    %s: %s\n", strings.Join(pods, ", "), d.held[i].String())
	}
}

// String returns the value and the write it comes from.
func (h *held[T]) String() string {
	if !h.version.Exists {
		return "absent"
	}
	value := fmt.Sprintf("%+v", h.value)
	if s, ok := any(h.value).(string); ok {
		value = fmt.Sprintf("%q", s)
	}
	v := &h.version
	return fmt.Sprintf("%s, write %d of %s at %s", shorten(value), v.Seq, v.Origin, v.Timestamp.UTC().Format(time.RFC3339Nano))
}

// shorten cuts text that would fill the screen.
func shorten(text string) string {
	if runes := []rune(text); len(runes) > reportedRunes {
		return string(runes[:reportedRunes]) + "…"
	}
	return text
}
