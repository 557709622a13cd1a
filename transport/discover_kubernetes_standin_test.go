package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/podshare/podshare/transport"
)

const kubernetesPath = "/apis/discovery.k8s.io/v1/namespaces/chat/endpointslices"

// object is JSON.
type object = map[string]any

// kubernetes stands in for the Kubernetes API: it knows the EndpointSlices of Service mesh in namespace chat, and keeps
// the history of their changes.
type kubernetes struct {
	t *testing.T

	mu      sync.Mutex // guards all below
	version int
	slices  map[string]object // by name
	events  []kubernetesEvent
	oldest  int // a watch that starts before this version is told that it is gone
	changed chan struct{}
	watches []chan string // each ends by what comes: "" in order, "break" not
	lists   []listed
	began   []string // resourceVersion of each watch
	fault   func(w http.ResponseWriter, r *http.Request) bool
	inspect func(r *http.Request)
}

type kubernetesEvent struct {
	version int
	line    string
}

type listed struct {
	at    time.Time
	token string // of the page
}

func newKubernetes(t *testing.T) *kubernetes {
	t.Helper()
	return &kubernetes{t: t, version: 100, slices: map[string]object{}, changed: make(chan struct{})}
}

// discoverer returns one that asks k within a synctest bubble.
func (k *kubernetes) discoverer() *transport.KubernetesDiscoverer {
	return &transport.KubernetesDiscoverer{
		Service: "mesh", Namespace: "chat", Port: 70,
		APIServer: "https://kubernetes.default.svc",
		Client:    &http.Client{Transport: directly{k}},
	}
}

// slice returns an EndpointSlice of ready endpoints.
func slice(name string, addresses ...string) object {
	endpoints := []object{}
	for _, a := range addresses {
		endpoints = append(endpoints, object{"addresses": []string{a}, "conditions": object{"ready": true, "serving": true, "terminating": false}})
	}
	return object{
		"metadata":    object{"name": name},
		"addressType": "IPv4",
		"endpoints":   endpoints,
		"ports":       []object{{"name": "mesh", "port": 7070, "protocol": "TCP"}},
	}
}

// set adds or replaces slices; one without endpoints, "ports" and all, is deleted.
func (k *kubernetes) set(all ...object) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range all {
		k.changeLocked(s)
	}
	k.wakeLocked()
}

// lose does the same, but no watch hears of it.
func (k *kubernetes) lose(s object) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changeLocked(s)
	k.events = k.events[:len(k.events)-1]
}

func (k *kubernetes) changeLocked(s object) {
	name := s["metadata"].(object)["name"].(string)
	k.version++
	s = maps.Clone(s)
	s["kind"] = "EndpointSlice"
	s["metadata"] = object{"name": name, "resourceVersion": strconv.Itoa(k.version)}
	kind := "ADDED"
	if k.slices[name] != nil {
		kind = "MODIFIED"
	}
	k.slices[name] = s
	if s["endpoints"] == nil {
		kind = "DELETED"
		delete(k.slices, name)
	}
	k.eventLocked(kind, s)
}

// bookmark tells watches of a version that changes nothing.
func (k *kubernetes) bookmark() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version += 10
	k.eventLocked("BOOKMARK", object{"kind": "EndpointSlice", "metadata": object{"resourceVersion": strconv.Itoa(k.version)}})
	k.wakeLocked()
}

func (k *kubernetes) eventLocked(kind string, o object) {
	line, err := json.Marshal(object{"type": kind, "object": o})
	assert.NoError(k.t, err)
	k.events = append(k.events, kubernetesEvent{k.version, string(line)})
}

// say sends a line to watches that is no part of the history.
func (k *kubernetes) say(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.watches {
		w <- line
	}
}

// forget makes the versions until now gone.
func (k *kubernetes) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.oldest = k.version
}

// fail makes fault answer requests that it returns true for; nil ends that.
func (k *kubernetes) fail(fault func(w http.ResponseWriter, r *http.Request) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = fault
}

// listings returns when each page was asked for, and which.
func (k *kubernetes) listings() []listed {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.lists)
}

// watchings returns the version that each watch began at.
func (k *kubernetes) watchings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.began)
}

func (k *kubernetes) wakeLocked() {
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	fault, inspect := k.fault, k.inspect
	k.mu.Unlock()
	if inspect != nil {
		inspect(r)
	}
	query := r.URL.Query()
	assert.Equal(k.t, http.MethodGet, r.Method)
	assert.Equal(k.t, kubernetesPath, r.URL.EscapedPath())
	assert.Equal(k.t, []string{"kubernetes.io/service-name=mesh"}, query["labelSelector"])
	switch {
	case fault != nil && fault(w, r):
	case query.Get("watch") == "true":
		assert.Equal(k.t, "true", query.Get("allowWatchBookmarks"))
		k.watch(w, r)
	default:
		k.list(w, query.Get("limit"), query.Get("continue"))
	}
}

// list answers with one page. The token is the name that it begins with.
func (k *kubernetes) list(w http.ResponseWriter, limit, token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lists = append(k.lists, listed{time.Now(), token})
	n, err := strconv.Atoi(limit)
	assert.NoError(k.t, err)
	names := slices.Sorted(maps.Keys(k.slices))
	from, _ := slices.BinarySearch(names, token)
	names = names[from:]
	meta := object{"resourceVersion": strconv.Itoa(k.version)}
	if len(names) > n {
		meta["continue"] = names[n]
		names = names[:n]
	}
	items := []object{}
	for _, name := range names {
		item := maps.Clone(k.slices[name])
		delete(item, "kind")
		items = append(items, item)
	}
	assert.NoError(k.t, json.NewEncoder(w).Encode(object{"kind": "EndpointSliceList", "metadata": meta, "items": items}))
}

func (k *kubernetes) watch(w http.ResponseWriter, r *http.Request) {
	since, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	assert.NoError(k.t, err)
	said := make(chan string, 10)
	k.mu.Lock()
	k.began = append(k.began, strconv.Itoa(since))
	k.watches = append(k.watches, said)
	gone, next := since < k.oldest, 0
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.watches = slices.DeleteFunc(k.watches, func(c chan string) bool { return c == said })
	}()
	if gone {
		_, _ = fmt.Fprintln(w, `{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old resource version","reason":"Expired","code":410}}`)
		return
	}
	for {
		k.mu.Lock()
		news, changed := slices.Clone(k.events[next:]), k.changed
		next = len(k.events)
		k.mu.Unlock()
		for _, e := range news {
			if e.version > since {
				_, _ = fmt.Fprintln(w, e.line)
			}
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case line := <-said:
			switch line {
			case "":
				return
			case "break":
				panic(http.ErrAbortHandler)
			default:
				_, _ = fmt.Fprintln(w, line)
			}
		case <-r.Context().Done():
			return
		}
	}
}

// directly is HTTP without a network, so that its waits count as such in a synctest bubble.
type directly struct{ handler http.Handler }

func (d directly) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	body, written := io.Pipe()
	w := &directAnswer{header: http.Header{}, body: written, begun: make(chan int, 1)}
	go func() {
		defer func() {
			if recover() == http.ErrAbortHandler { //nolint:errorlint // as net/http does
				_ = written.CloseWithError(io.ErrUnexpectedEOF)
			}
			w.WriteHeader(http.StatusOK)
			_ = written.Close()
		}()
		d.handler.ServeHTTP(w, r.WithContext(ctx))
	}()
	stop := context.AfterFunc(ctx, func() { _ = body.CloseWithError(context.Cause(ctx)) })
	select {
	case code := <-w.begun:
		return &http.Response{
			StatusCode: code, Header: w.header, Request: r, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
			Body: directBody{body, func() { stop(); cancel() }},
		}, nil
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
}

type directAnswer struct {
	header http.Header
	body   *io.PipeWriter
	begun  chan int
	once   sync.Once
}

func (a *directAnswer) Header() http.Header { return a.header }
func (a *directAnswer) Flush()              { a.WriteHeader(http.StatusOK) }

func (a *directAnswer) WriteHeader(code int) { a.once.Do(func() { a.begun <- code }) }

func (a *directAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

type directBody struct {
	*io.PipeReader
	cancel func()
}

func (b directBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}
