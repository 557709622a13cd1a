package fleettest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/podshare/podshare"
)

// Diary is what a store has accepted from a writer.
type Diary struct {
	Node, Run string
	Ended     bool              // nothing was written after this
	Kept      map[string]string // keys of the writer's own that it wrote and did not delete
	Deleted   map[string]bool
	Newest    map[string]Shared // by shared key: the last write of the writer that was the newest
	Faults    []string          // errors that no writer should see
}

// Shared is a state of a shared key.
type Shared struct {
	Version podshare.Version
	Value   string // "" if it was deleted
}

// Diaries are those of all writers that a fleet ever had.
type Diaries []Diary

// Lasting returns the keys that must be everywhere at last, whatever the writers do from now on.
func (ds Diaries) Lasting() map[string]string {
	all := map[string]string{}
	for _, d := range ds {
		maps.Copy(all, d.lasting())
	}
	return all
}

func (d *Diary) lasting() map[string]string {
	lasting := maps.Clone(d.Kept)
	if !d.Ended {
		maps.DeleteFunc(lasting, func(key, _ string) bool { return d.passing(key) })
	}
	return lasting
}

// passing tells whether the writer deletes the key sooner or later.
func (d *Diary) passing(key string) bool {
	n, err := strconv.Atoi(strings.TrimPrefix(key, d.Run+"/"))
	return err == nil && n%4 == 1
}

// Missing returns a key that c lacks of those due, or holds with another value; "" if there is none.
func Missing(c Contents, due map[string]string) string {
	for key, value := range due {
		if c.Values[key] != value {
			return key
		}
	}
	return ""
}

// Check returns an error unless what the writer wrote and deleted has come to c, which remembers deletes.
func (d *Diary) Check(c Contents) error {
	if err := d.checkOwn(c); err != nil {
		return err
	}
	return Diaries{*d}.checkAllShared(c)
}

// checkOwn is Check for the keys of the writer's own.
func (d *Diary) checkOwn(c Contents) error {
	if len(d.Faults) > 0 {
		return fmt.Errorf("a write failed: %s", d.Faults[0])
	}
	for key, value := range d.lasting() {
		if got, held := c.Values[key]; got != value {
			return fmt.Errorf("%s holds %q (%t) under %s, which is %q", c.Node, got, held, key, value)
		}
	}
	for key := range d.Deleted {
		if got, held := c.Values[key]; held {
			return fmt.Errorf("%s holds a deleted key, %s: %q", c.Node, key, got)
		}
	}
	return nil
}

// Check returns an error unless c holds all that was accepted, and nothing that was deleted or never written.
func (ds Diaries) Check(c Contents) error {
	known := map[string]bool{}
	for _, d := range ds {
		if err := d.checkOwn(c); err != nil {
			return err
		}
		for key := range d.Kept {
			known[key] = true
		}
	}
	for key, value := range c.Values {
		if !known[key] && !strings.HasPrefix(key, "shared/") && !slices.ContainsFunc(ds, func(d Diary) bool { return d.mayHold(key) }) {
			return fmt.Errorf("%s holds a key that nobody wrote: %s: %q", c.Node, key, value)
		}
	}
	return ds.checkAllShared(c)
}

// mayHold tells whether the writer may have written a key of its own after its diary.
func (d *Diary) mayHold(key string) bool { return !d.Ended && strings.HasPrefix(key, d.Run+"/") }

func (ds Diaries) checkAllShared(c Contents) error {
	for n := range SharedKeys {
		if err := ds.checkShared(c, SharedKey(n)); err != nil {
			return err
		}
	}
	return nil
}

// checkShared returns an error unless c holds the newest of what all writers wrote under a key.
func (ds Diaries) checkShared(c Contents, key string) error {
	version, value := c.Shared[key], c.Values[key]
	var newest Shared
	for _, d := range ds {
		wrote, any := d.Newest[key]
		if !any {
			continue
		}
		if wrote.Version.Timestamp.After(newest.Version.Timestamp) {
			newest = wrote
		}
		if version.Origin == d.Node && version.Timestamp.Equal(wrote.Version.Timestamp) &&
			(version.Seq != wrote.Version.Seq || value != wrote.Value) {
			return fmt.Errorf("%s holds %q %+v under %s; %s wrote %+v", c.Node, value, version, key, d.Run, wrote)
		}
	}
	collected := version.Timestamp.IsZero() && newest.Value == ""
	if version.Timestamp.Before(newest.Version.Timestamp) && !collected {
		return fmt.Errorf("%s holds an old version of %s, %+v; the newest is %+v", c.Node, key, version, newest)
	}
	return nil
}

// Contents is what a store holds.
type Contents struct {
	Node   string
	Values map[string]string
	Shared map[string]podshare.Version // of shared keys, the deleted ones too
}

// Read returns what a store holds at this moment.
func Read(store *podshare.Store[string]) Contents {
	c := Contents{Node: store.NodeID(), Values: store.Snapshot(), Shared: map[string]podshare.Version{}}
	for n := range SharedKeys {
		c.Shared[SharedKey(n)] = store.Version(SharedKey(n))
	}
	return c
}

// Same tells whether two stores hold the same, and also of deletes that values do not show.
func Same(a, b Contents) bool {
	return maps.Equal(a.Values, b.Values) && maps.EqualFunc(a.Shared, b.Shared, func(v, w podshare.Version) bool {
		collected := v.Timestamp.IsZero() || w.Timestamp.IsZero() // by one earlier than by the other
		return v.Exists == w.Exists && (collected || v.Timestamp.Equal(w.Timestamp) && v.Origin == w.Origin && v.Seq == w.Seq)
	})
}
