package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/bench/naive"
	"github.com/podshare/podshare/transport"
)

// payload is the value of most benchmarks: 100 bytes without pointers, as random as if compressed already.
type payload [100]byte

// copyCodec costs no more than a copy, so that what a store adds is seen. Marshal allocates twice: the value
// that becomes an any, and the bytes.
type copyCodec struct{}

var errSize = errors.New("value has another size")

func (copyCodec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case payload:
		return append([]byte(nil), v[:]...), nil
	case small:
		return append([]byte(nil), v[:]...), nil
	default:
		return nil, fmt.Errorf("value of type %T", v)
	}
}

func (copyCodec) Unmarshal(b []byte, v any) error {
	n := 0
	switch v := v.(type) {
	case *payload:
		n = copy(v[:], b) - len(v)
	case *small:
		n = copy(v[:], b) - len(v)
	default:
		return fmt.Errorf("value of type %T", v)
	}
	if n != 0 {
		return errSize
	}
	return nil
}

// randomPayload returns a payload that no compressor makes shorter.
func randomPayload(rng *rand.Rand) (p payload) {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p
}

// numbered returns a payload that differs from those of other numbers.
func numbered(p payload, n int) payload {
	binary.LittleEndian.PutUint64(p[:], uint64(n))
	return p
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// key returns the i-th key: 20 bytes, like an identifier with a prefix.
func key(i int) string { return fmt.Sprintf("user:%015d", i) }

// shuffledKeys returns n keys in random order, so that walking through them is a random access.
func shuffledKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(i)
	}
	newRand().Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// payloads returns a random value for each of the first n keys.
func payloads(n int) map[string]payload {
	rng := newRand()
	kvs := make(map[string]payload, n)
	for i := range n {
		kvs[key(i)] = randomPayload(rng)
	}
	return kvs
}

// store is what both designs can do.
type store[T any] interface {
	Get(key string) (T, bool)
	Set(ctx context.Context, key string, value T) error
	SetMany(ctx context.Context, kvs map[string]T) error
	Close() error
}

// design makes stores of one of the two designs.
type design[T any] struct {
	name string
	open func(b testing.TB, t podshare.Transport, o storeOptions) store[T]
	// watch opens a watcher of one key, of all if key is empty.
	watch func(ctx context.Context, s store[T], key string) <-chan podshare.Event[T]
	len   func(s store[T]) int
	// catchUp does what makes a store equal to the others at once.
	catchUp func(ctx context.Context, s store[T]) error
}

// storeOptions are what the benchmarks vary. Zero means the default of the design.
type storeOptions struct {
	node     string // "a"
	codec    podshare.Codec
	debounce time.Duration // of the snapshot
	watchers int           // limit
}

// never is a debounce that does not pass while a benchmark runs.
const never = time.Hour

// designs returns both, podshare first.
func designs[T any]() []design[T] {
	return []design[T]{{
		name: "podshare",
		open: func(b testing.TB, t podshare.Transport, o storeOptions) store[T] {
			b.Helper()
			return openPodshare[T](b, t, o)
		},
		watch: func(ctx context.Context, s store[T], key string) <-chan podshare.Event[T] {
			var opts []podshare.WatchOption
			if key != "" {
				opts = append(opts, podshare.WatchKey(key))
			}
			return s.(*podshare.Store[T]).Watch(ctx, opts...)
		},
		len:     func(s store[T]) int { return s.(*podshare.Store[T]).Stats().Keys },
		catchUp: func(ctx context.Context, s store[T]) error { return s.(*podshare.Store[T]).Refresh(ctx) },
	}, {
		name: "naive",
		open: func(b testing.TB, t podshare.Transport, o storeOptions) store[T] {
			b.Helper()
			return openNaive[T](b, t, o)
		},
		watch: func(ctx context.Context, s store[T], key string) <-chan podshare.Event[T] {
			return s.(*naive.Store[T]).Watch(ctx, key)
		},
		len:     func(s store[T]) int { return s.(*naive.Store[T]).Len() },
		catchUp: func(ctx context.Context, s store[T]) error { return s.(*naive.Store[T]).Refresh(ctx) },
	}}
}

const topic = "bench"

func openPodshare[T any](b testing.TB, t podshare.Transport, o storeOptions) *podshare.Store[T] {
	b.Helper()
	opts := []podshare.Option[T]{
		podshare.WithNodeID[T](orElse(o.node, "a")),
		podshare.WithSnapshotInterval[T](o.debounce),
		podshare.WithLimits[T](podshare.Limits{Watchers: o.watchers}),
	}
	if o.codec != nil {
		opts = append(opts, podshare.WithCodec[T](o.codec))
	}
	s, err := podshare.New(context.Background(), topic, t, opts...)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func openNaive[T any](b testing.TB, t podshare.Transport, o storeOptions) *naive.Store[T] {
	b.Helper()
	if o.codec == nil {
		o.codec = podshare.JSONCodec{}
	}
	cfg := naive.Config{Codec: o.codec, NodeID: orElse(o.node, "a"), SnapshotInterval: o.debounce}
	s, err := naive.New[T](context.Background(), topic, t, cfg)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func orElse(s, preset string) string {
	if s == "" {
		return preset
	}
	return s
}

// newMemory returns a transport that loses nothing up to 65,536 frames behind, for the naive design would
// never get them back.
func newMemory(b testing.TB) *transport.MemoryTransport {
	b.Helper()
	m := transport.NewMemoryTransport(transport.WithMemoryQueue(1 << 16))
	b.Cleanup(func() { _ = m.Close() })
	return m
}

// closeAfter closes a store when the benchmark has ended.
func closeAfter(b testing.TB, s interface{ Close() error }) {
	b.Helper()
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
}

// fill sets all of kvs, in batches that the default limits allow.
func fill[T any](b testing.TB, s store[T], kvs map[string]T) {
	b.Helper()
	batch := make(map[string]T, 10_000)
	flush := func() {
		if err := s.SetMany(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
		clear(batch)
	}
	for k, v := range kvs {
		if batch[k] = v; len(batch) == 10_000 {
			flush()
		}
	}
	flush()
}

// wait polls until done. It is given time that the benchmarked store does not need.
func wait(b testing.TB, done func() bool) {
	b.Helper()
	for start := time.Now(); !done(); time.Sleep(20 * time.Microsecond) {
		if time.Since(start) > 30*time.Second {
			b.Fatal("did not happen within 30 s")
		}
	}
}

// spread runs fn on goroutines that share n operations. b.Loop can only be driven by one goroutine, so what
// is measured from several, or compared with that, uses b.N and this.
func spread(n, goroutines int, fn func(goroutine, n int)) {
	var wg sync.WaitGroup
	for g := range goroutines {
		share := n / goroutines
		if g < n%goroutines {
			share++
		}
		wg.Go(func() { fn(g, share) })
	}
	wg.Wait()
}

// settle collects what set-up left behind, so that it does not burden what is measured.
func settle() { runtime.GC() }
