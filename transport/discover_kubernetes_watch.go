package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

const (
	// kubernetesPage is how many slices an answer has: at up to 1,000 endpoints each, they fit into it.
	kubernetesPage = "20"

	// kubernetesListTimeout bounds listing all pages.
	kubernetesListTimeout = 30 * time.Second
)

// endpointWatch knows the endpoints of one Service.
type endpointWatch struct {
	run  *discovery
	api  *kubernetesAPI
	opts KubernetesDiscoverer // normalized

	slices  map[string]endpointSlice // by name
	version string                   // what slices are the state of; "": not known, they must be listed

	expires time.Time // when the slices are listed anew at the latest
}

// follow lists the slices, if it must, and watches them as long as the API and the time let it. That a watch ends
// in order is no error.
func (w *endpointWatch) follow(ctx context.Context) error {
	if w.version == "" || !time.Now().Before(w.expires) {
		if err := w.list(ctx); err != nil {
			return err
		}
		w.expires = time.Now().Add(spread(w.opts.Interval))
	}
	watched, cancel := context.WithDeadline(ctx, w.expires)
	defer cancel()
	err := w.watch(watched)
	if err != nil {
		w.version = ""
	}
	if watched.Err() != nil || isGone(err) {
		return nil
	}
	return err
}

// list replaces what is known. It changes nothing if it fails.
func (w *endpointWatch) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesListTimeout)
	defer cancel()
	slices := map[string]endpointSlice{}
	query := url.Values{"limit": {kubernetesPage}}
	for {
		page, err := w.api.getList(ctx, query)
		if err != nil {
			return err
		}
		for _, slice := range page.Items {
			slices[slice.Metadata.Name] = slice
		}
		if page.Metadata.Continue == "" {
			return w.know(slices, page.Metadata.ResourceVersion)
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// know tells of the peers in slices, and goes on from there.
func (w *endpointWatch) know(slices map[string]endpointSlice, version string) error {
	peers, err := peersOf(slices, w.opts.Port, w.opts.PortName)
	if err != nil {
		return err
	}
	w.slices, w.version = slices, version
	w.run.found(peers)
	return nil
}

// watch takes in events until ctx or the answer ends, without an error if the API ended it.
func (w *endpointWatch) watch(ctx context.Context) error {
	answer, err := w.api.get(ctx, url.Values{
		"watch":               {"true"},
		"resourceVersion":     {w.version},
		"allowWatchBookmarks": {"true"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxKubernetesAnswer)
	for lines.Scan() {
		if err := w.apply(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// apply takes in one event. After an error nothing is told of it, and the slices must be listed.
func (w *endpointWatch) apply(line []byte) error {
	var event struct {
		Type   string          `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("a line of the watch is no event: %w", err)
	}
	if event.Type == "ERROR" {
		refusal := &kubernetesError{}
		if err := json.Unmarshal(event.Object, refusal); err != nil {
			return fmt.Errorf("a line of the watch is no event: %w", err)
		}
		return refusal
	}
	var slice endpointSlice
	if err := json.Unmarshal(event.Object, &slice); err != nil {
		return fmt.Errorf("an event has no EndpointSlice: %w", err)
	}
	if slice.Kind != "EndpointSlice" || slice.Metadata.ResourceVersion == "" {
		return errors.New("an event has no EndpointSlice")
	}
	switch event.Type {
	case "ADDED", "MODIFIED":
		w.slices[slice.Metadata.Name] = slice
	case "DELETED":
		delete(w.slices, slice.Metadata.Name)
	case "BOOKMARK": // only the version is news
	default:
		return fmt.Errorf("an event is of the unknown type %q", event.Type)
	}
	return w.know(w.slices, slice.Metadata.ResourceVersion)
}
