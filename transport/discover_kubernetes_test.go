package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func watchKubernetes(t *testing.T, k *kubernetes) (*watcher, *reports) {
	t.Helper()
	errs := &reports{}
	d := k.discoverer()
	d.OnError = errs.add
	return watch(t, d).after(0), errs
}

func isWatch(r *http.Request) bool { return r.URL.Query().Has("watch") }

func TestKubernetesPeersAreKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		k.set(slice("one", "10.0.0.1", "10.0.0.2"), slice("two", "10.0.0.3"))
		w, errs := watchKubernetes(t, k)
		w.wantCalls(1, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70")

		k.set(slice("three", "10.0.0.4"))
		w.after(0).wantCalls(2, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70", "10.0.0.4:70")
		k.set(slice("one", "10.0.0.2"))
		w.after(0).wantCalls(3, "10.0.0.2:70", "10.0.0.3:70", "10.0.0.4:70")
		k.set(object{"metadata": object{"name": "two"}})
		w.after(0).wantCalls(4, "10.0.0.2:70", "10.0.0.4:70")
		k.bookmark()
		w.after(0).wantCalls(4, "10.0.0.2:70", "10.0.0.4:70")
		k.set(slice("one", "10.0.0.2", "10.0.0.4")) // in two slices, as when it moves
		w.after(0).wantCalls(4, "10.0.0.2:70", "10.0.0.4:70")
		k.set(slice("three"))
		w.after(0).wantCalls(4, "10.0.0.2:70", "10.0.0.4:70")
		k.set(slice("one"))
		w.after(0).wantCalls(5)
		require.Len(t, k.listings(), 1)
		require.NoError(t, errs.all())
	})
}

func TestKubernetesListsAllPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		var want []string
		for i := range 45 {
			k.set(slice(fmt.Sprintf("mesh-%02d", i), fmt.Sprintf("10.0.1.%d", 100+i)))
			want = append(want, fmt.Sprintf("10.0.1.%d:70", 100+i))
		}
		w, errs := watchKubernetes(t, k)
		w.wantCalls(1, want...)
		require.Len(t, k.listings(), 3)
		require.Equal(t, "mesh-20", k.listings()[1].token)
		require.Equal(t, "mesh-40", k.listings()[2].token)
		require.NoError(t, errs.all())
	})
}

func TestKubernetesEndpointsThatCount(t *testing.T) {
	conditions := func(ready, serving, terminating any) object {
		return object{"addresses": []string{"10.0.0.1"}, "conditions": object{"ready": ready, "serving": serving, "terminating": terminating}}
	}
	for name, c := range map[string]struct {
		endpoint object
		want     []string
	}{
		"ready":                       {conditions(true, true, false), []string{"10.0.0.1:70"}},
		"not yet ready":               {conditions(false, false, false), []string{"10.0.0.1:70"}},
		"terminating, still serving":  {conditions(false, true, true), []string{"10.0.0.1:70"}},
		"terminating, who knows":      {conditions(nil, nil, true), []string{"10.0.0.1:70"}},
		"terminating, serves no more": {conditions(false, false, true), nil},
		"nothing is known of it":      {object{"addresses": []string{"10.0.0.1"}}, []string{"10.0.0.1:70"}},
		"several addresses":           {object{"addresses": []string{"10.0.0.2", "10.0.0.1"}}, []string{"10.0.0.2:70"}},
		"no address":                  {object{"addresses": []string{}}, nil},
		"IPv6":                        {object{"addresses": []string{"2001:db8:0::1"}}, []string{"[2001:db8::1]:70"}},
		"FQDN":                        {object{"addresses": []string{"pod-1.example.org"}}, []string{"pod-1.example.org:70"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubernetes(t)
				s := slice("one")
				s["endpoints"] = []object{c.endpoint}
				k.set(s)
				w, errs := watchKubernetes(t, k)
				w.wantCalls(1, c.want...)
				require.NoError(t, errs.all())
			})
		})
	}
}

func TestKubernetesPortMayBeNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		other := slice("two", "10.0.0.2")
		other["ports"] = []object{{"name": "http", "port": 80}, {"name": "mesh", "port": 7071}}
		lacks := slice("three", "10.0.0.3")
		lacks["ports"] = nil
		k.set(slice("one", "10.0.0.1"), other, lacks)
		d, errs := k.discoverer(), &reports{}
		d.Port, d.PortName, d.Self, d.OnError = 0, "mesh", "10.0.0.1:7070", errs.add
		w := watch(t, d).after(0)
		w.wantCalls(1, "10.0.0.2:7071")
		require.NoError(t, errs.all())

		other["ports"] = []object{{"name": "http", "port": 80}}
		k.set(object{"metadata": object{"name": "one"}})
		k.set(other)
		w.after(time.Hour).wantCalls(1, "10.0.0.2:7071")
		require.ErrorContains(t, errs.all(), `no endpoint has a port that is named "mesh"`)
		require.Equal(t, 1, errs.count())
	})
}

// A watch that the API ends, as it does every few minutes, goes on where it was: nothing is listed, nothing is lost.
func TestKubernetesWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		k.set(slice("one", "10.0.0.1"))
		w, errs := watchKubernetes(t, k)
		k.set(slice("two", "10.0.0.2"))
		w.after(0)
		k.say("")
		w.after(0)
		k.set(slice("three", "10.0.0.3"))
		w.wantCalls(2, "10.0.0.1:70", "10.0.0.2:70")
		w.after(2*time.Second).wantCalls(3, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70")
		k.bookmark()
		w.after(0)
		k.forget()
		k.say("")
		w.after(5 * time.Second)
		require.Equal(t, []string{"101", "102", "113"}, k.watchings())
		require.Len(t, k.listings(), 1)
		require.NoError(t, errs.all())
	})
}

func TestKubernetesListsAnewAfterABreak(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want string // of the error; "": there is none
	}{
		"the connection breaks":  {"break", "unexpected EOF"},
		"the version is gone":    {`{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}`, ""},
		"the API has an error":   {`{"type":"ERROR","object":{"kind":"Status","code":500,"message":"no quorum"}}`, "500 Internal Server Error: no quorum"},
		"no JSON":                {`<html>`, "no event"},
		"half a line":            {`{"type":"ADDED","object":{"kind":"Endp`, "no event"},
		"an error without words": {`{"type":"ERROR","object":[]}`, "no event"},
		"an unknown type":        {`{"type":"RENAMED","object":{"kind":"EndpointSlice","metadata":{"name":"one","resourceVersion":"900"}}}`, `unknown type "RENAMED"`},
		"another kind":           {`{"type":"MODIFIED","object":{"kind":"Service","metadata":{"name":"one","resourceVersion":"900"}}}`, "no EndpointSlice"},
		"no version":             {`{"type":"DELETED","object":{"kind":"EndpointSlice","metadata":{"name":"one"}}}`, "no EndpointSlice"},
		"no object":              {`{"type":"DELETED"}`, "no EndpointSlice"},
		"wrong types":            {`{"type":"MODIFIED","object":{"kind":"EndpointSlice","endpoints":7}}`, "no EndpointSlice"},
		"a bad address": {
			`{"type":"MODIFIED","object":{"kind":"EndpointSlice","metadata":{"name":"one","resourceVersion":"900"},"endpoints":[{"addresses":["10.0.0.9"]},{"addresses":["a b"]}]}}`,
			`EndpointSlice one: "a b" is neither`,
		},
		"a line that is too long": {`{"type":"ADDED","object":{"kind":"` + strings.Repeat("x", 8<<20) + `"}}`, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubernetes(t)
				k.set(slice("one", "10.0.0.1"))
				w, errs := watchKubernetes(t, k)
				k.lose(slice("one", "10.0.0.2"))
				k.say(c.line)
				w.after(800*time.Millisecond-1).wantCalls(1, "10.0.0.1:70")
				require.Len(t, k.listings(), 1, "not at once")
				w.after(400*time.Millisecond+1).wantCalls(2, "10.0.0.2:70")
				require.Len(t, k.listings(), 2)
				k.set(slice("one", "10.0.0.3"))
				w.after(0).wantCalls(3, "10.0.0.3:70")
				if c.want == "" {
					require.NoError(t, errs.all())
				} else {
					require.ErrorContains(t, errs.all(), c.want)
					require.Equal(t, 1, errs.count())
				}
			})
		})
	}
}

func TestKubernetesListsAnewWhenTheVersionIsGone(t *testing.T) {
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"says an event": nil,
		"says the answer": func(w http.ResponseWriter, r *http.Request) bool {
			if isWatch(r) && r.URL.Query().Get("resourceVersion") == "101" {
				w.WriteHeader(http.StatusGone)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubernetes(t)
				k.set(slice("one", "10.0.0.1"))
				w, errs := watchKubernetes(t, k)
				k.lose(slice("one", "10.0.0.2"))
				k.forget()
				k.fail(fault)
				k.say("")
				w.after(time.Minute).wantCalls(2, "10.0.0.2:70")
				require.Len(t, k.listings(), 2)
				require.NoError(t, errs.all())
			})
		})
	}
}

// A connection may be lost without a sign: a watch ends after an interval at the latest, quiet or not.
func TestKubernetesListsAnewAfterAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		k.set(slice("one", "10.0.0.1"))
		w, errs := watchKubernetes(t, k)
		k.lose(slice("one", "10.0.0.2"))
		w.after(4*time.Minute-1).wantCalls(1, "10.0.0.1:70")
		w.after(2*time.Minute+2*time.Second).wantCalls(2, "10.0.0.2:70")
		for range 24 * 60 {
			k.bookmark()
			w.after(time.Minute)
		}
		require.InDelta(t, 24*60/5, len(k.listings()), 15)
		require.NoError(t, errs.all())
	})
}

func TestKubernetesAnswersThatCannotBeUsedChangeNothing(t *testing.T) {
	answer := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body) // it may be too long to be read
		}
	}
	list := func(items string) string {
		return `{"kind":"EndpointSliceList","metadata":{"resourceVersion":"900"},"items":` + items + `}`
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"401":          {answer(401, `{"kind":"Status","message":"Unauthorized","code":401}`), "401 Unauthorized: Unauthorized"},
		"403":          {answer(403, `{"kind":"Status","message":"User x cannot list","code":7}`), "403 Forbidden: User x cannot list"},
		"500, no JSON": {answer(500, "<html>"), "answers 500 Internal Server Error"},
		"503, endless": {func(w http.ResponseWriter) {
			w.WriteHeader(503)
			for more := true; more; {
				_, err := io.WriteString(w, strings.Repeat(" ", 1<<20))
				more = err == nil
			}
		}, "answers 503 Service Unavailable"},
		"a redirect":            {func(w http.ResponseWriter) { w.Header().Set("Location", "/else"); w.WriteHeader(302) }, "answers 302 Found"},
		"no content":            {answer(204, ""), "answers 204 No Content"},
		"no JSON":               {answer(200, "<html>"), "no list of EndpointSlices"},
		"nothing":               {answer(200, ""), "no list of EndpointSlices"},
		"the empty object":      {answer(200, "{}"), "no list of EndpointSlices"},
		"another list":          {answer(200, `{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":[]}`), "no list of EndpointSlices"},
		"no version":            {answer(200, `{"kind":"EndpointSliceList","items":[]}`), "no list of EndpointSlices"},
		"half a list":           {answer(200, list(`[{"metadata":{"name":"one"}}`)[:80]), "no list of EndpointSlices"},
		"wrong types":           {answer(200, list(`[{"endpoints":"all"}]`)), "no list of EndpointSlices"},
		"a bad address":         {answer(200, list(`[{"metadata":{"name":"one"},"endpoints":[{"addresses":["0.0.0.0"]}]}]`)), "EndpointSlice one: 0.0.0.0 is the address of no host"},
		"larger than 8 MiB":     {answer(200, list(`[]`)+strings.Repeat(" ", 8<<20)), "larger than 8388608 bytes"},
		"the connection breaks": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{"); panic(http.ErrAbortHandler) }, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubernetes(t)
				k.set(slice("one", "10.0.0.1"))
				w, errs := watchKubernetes(t, k)
				refused := 0
				k.fail(func(w http.ResponseWriter, r *http.Request) bool {
					refused++
					c.answer(w)
					return true
				})
				k.say("break")
				w.after(10*time.Minute).wantCalls(1, "10.0.0.1:70")
				require.ErrorContains(t, errs.all(), "peers of mesh by Kubernetes: ")
				require.ErrorContains(t, errs.all(), c.want)
				// After 1, 2, 4, 8, 16, and then each 32 s, give or take a fifth.
				require.Greater(t, refused, 16)
				require.Less(t, refused, 32)

				k.fail(nil)
				k.set(slice("one", "10.0.0.2"))
				w.after(40*time.Second).wantCalls(2, "10.0.0.2:70")
			})
		})
	}
}

// … of the watch, too: it may be forbidden where listing is allowed. Then the list is asked for again and again.
func TestKubernetesWatchMayBeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		k.set(slice("one", "10.0.0.1"))
		k.fail(func(w http.ResponseWriter, r *http.Request) bool {
			if isWatch(r) {
				w.WriteHeader(http.StatusForbidden)
			}
			return isWatch(r)
		})
		w, errs := watchKubernetes(t, k)
		w.after(time.Hour)
		k.set(slice("one", "10.0.0.2"))
		w.after(40*time.Second).wantCalls(2, "10.0.0.2:70")
		require.ErrorContains(t, errs.all(), "403 Forbidden")
	})
}

// A list that hangs ends after half a minute; one of many pages changes nothing before the last.
func TestKubernetesListHasATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKubernetes(t)
		for i := range 21 {
			k.set(slice(fmt.Sprintf("mesh-%02d", i), "10.0.0.1"))
		}
		k.fail(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Has("continue") {
				<-r.Context().Done()
				return true
			}
			return false
		})
		w, errs := watchKubernetes(t, k)
		w.after(30 * time.Second).wantCalls(0)
		require.ErrorContains(t, errs.all(), "deadline exceeded")
		k.fail(nil)
		w.after(2*time.Second).wantCalls(1, "10.0.0.1:70")
	})
}

func TestKubernetesEndsWhileTheAPIHangs(t *testing.T) {
	for name, hangs := range map[string]func(*http.Request) bool{
		"list":  func(r *http.Request) bool { return !isWatch(r) },
		"watch": isWatch,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKubernetes(t)
				k.fail(func(w http.ResponseWriter, r *http.Request) bool {
					if hangs(r) {
						<-r.Context().Done()
					}
					return hangs(r)
				})
				w, errs := watchKubernetes(t, k)
				w.after(time.Second)
				w.end()
				require.Error(t, <-w.ended)
				require.NoError(t, errs.all())
			})
		})
	}
}
