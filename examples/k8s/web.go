package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/podshare/podshare"
)

// handler serves flags to clients, and probes to the kubelet.
//
//	GET    /flags         all, as a JSON object
//	GET    /flags/{name}  one
//	PUT    /flags/{name}  true or false
//	DELETE /flags/{name}
//	GET    /healthz       200: the process lives
//	GET    /readyz        200: it has what the others have
//
// Whoever reaches it may write: put what authenticates people in front of it.
func (r *replica) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /flags", r.withStore(getAll))
	mux.HandleFunc("GET /flags/{name}", r.withStore(getOne))
	mux.HandleFunc("PUT /flags/{name}", r.withStore(put))
	mux.HandleFunc("DELETE /flags/{name}", r.withStore(remove))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", r.ready)
	return mux
}

// ready says whether the replica is to get requests. A replica that loses the others stays ready: it serves what it
// has, and taking all out of service because the network fails would be worse. So does one that ends, as long as it
// serves: Kubernetes sends it no new requests anyway.
func (r *replica) ready(w http.ResponseWriter, _ *http.Request) {
	store := r.store.Load()
	switch {
	case store == nil:
		http.Error(w, "not ready: the other replicas are not known yet", http.StatusServiceUnavailable)
	case !store.Ready():
		http.Error(w, "not ready: catching up, or closed", http.StatusServiceUnavailable)
	default:
		h := store.Health()
		fmt.Fprintf(w, "ready: %v, others: %d\n", h.State, len(h.Peers))
	}
}

type storeHandler func(store *podshare.Store[bool], w http.ResponseWriter, q *http.Request)

func (r *replica) withStore(h storeHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		store := r.store.Load()
		if store == nil {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		h(store, w, q)
	}
}

func getAll(store *podshare.Store[bool], w http.ResponseWriter, _ *http.Request) {
	answer(w, store.Snapshot())
}

func getOne(store *podshare.Store[bool], w http.ResponseWriter, q *http.Request) {
	on, ok := store.Get(q.PathValue("name"))
	if !ok {
		http.NotFound(w, q)
		return
	}
	answer(w, on)
}

func put(store *podshare.Store[bool], w http.ResponseWriter, q *http.Request) {
	const most = 16 // bytes
	var on bool
	if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, most)).Decode(&on); err != nil {
		http.Error(w, "want true or false", http.StatusBadRequest)
		return
	}
	written(w, store.Set(q.Context(), q.PathValue("name"), on))
}

func remove(store *podshare.Store[bool], w http.ResponseWriter, q *http.Request) {
	written(w, store.Delete(q.Context(), q.PathValue("name")))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}

// written says what became of a write. One that could not be sent stands here, and the others get it by repair.
func written(w http.ResponseWriter, err error) {
	switch {
	case err == nil, errors.Is(err, podshare.ErrBroadcast):
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, podshare.ErrTooLarge), errors.Is(err, podshare.ErrTooMany):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// requestPatience is how long requests that are under way may take when the replica ends.
const requestPatience = 10 * time.Second

// web is an HTTP server that runs.
type web struct {
	server *http.Server
	ended  chan struct{} // closed when it accepts no more
}

func startWeb(ctx context.Context, addr string, h http.Handler) (*web, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &web{
		server: &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute},
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(w.ended)
		_ = w.server.Serve(l) // ErrServerClosed
	}()
	return w, nil
}

// stop serves what is under way to its end.
func (w *web) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), requestPatience)
	defer cancel()
	err := w.server.Shutdown(ctx)
	<-w.ended
	return err
}
