//go:build unix

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// A pod that joins is a process of its own, as in life: its memory and its collector are not those of the pod that answers. It
// is this test binary, with what it is to do in its environment.
const joinEnv = "PODSHARE_BENCH_JOIN"

// joinTask says what a process has to get.
type joinTask struct {
	From    string // address
	Stream  bool   // the floor: raw bytes into a map
	Mesh    string // its secret
	Entries int
}

// joined is what it found.
type joined struct {
	Took, CPU  time.Duration
	Bytes      uint64 // received
	Held, Peak int64  // bytes of the heap after a collection, once all is there, and the most of it before, garbage included
	Live       int64  // the most that a collection found in use
	Stalls     stalls
}

// join starts a process that does a task, and returns what it found.
func join(b *testing.B, task joinTask) (j joined) {
	b.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestJoinOfAnotherProcess$", "-test.v") //nolint:gosec // ourselves
	cmd.Env, cmd.Stderr = append(os.Environ(), joinEnv+"="+string(text)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if found, ok := strings.CutPrefix(line, joinEnv); ok {
			if err := json.Unmarshal([]byte(found), &j); err != nil {
				b.Fatal(err)
			}
			return j
		}
	}
	b.Fatalf("it found nothing:\n%s", out)
	return j
}

// TestJoinOfAnotherProcess is that process.
func TestJoinOfAnotherProcess(t *testing.T) {
	text := os.Getenv(joinEnv)
	if text == "" {
		t.Skip("for the benchmarks of joins")
	}
	var task joinTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	do := joinMesh
	if task.Stream {
		do = joinStream
	}
	before := heap()
	peak := watchHeap()
	j := do(t, task)
	j.Peak, j.Live = peak()
	j.Held = heap() - before
	j.Peak, j.Live = j.Peak-before, max(j.Live-before, j.Held)
	found, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s%s\n", joinEnv, found)
	runtime.KeepAlive(kept)
}

// kept is what a process has got.
var kept any

// joinMesh opens a store in a mesh and waits until it holds all.
func joinMesh(t *testing.T, task joinTask) (j joined) {
	t.Helper()
	start, cpu := time.Now(), processorTime(t)
	tr, err := transport.NewP2PTransport(meshOptions(task.Mesh, task.From))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	s := openPodshare[payload](t, tr, storeOptions{node: "b", codec: copyCodec{}, debounce: never})
	closeAfter(t, s)
	stop := watchStalls(s)
	for s.Len() < task.Entries {
		time.Sleep(time.Millisecond)
	}
	j.Took, j.CPU, j.Stalls = time.Since(start), processorTime(t)-cpu, stop()
	for _, p := range tr.Stats().Peers {
		j.Bytes += p.BytesReceived
	}
	kept = s
	return j
}

// joinStream reads entries into a map.
func joinStream(t *testing.T, task joinTask) (j joined) {
	t.Helper()
	start, cpu := time.Now(), processorTime(t)
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", task.From)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	m := map[string]payload{}
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		var k [20]byte
		var v payload
		if _, err := io.ReadFull(in, k[:]); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(in, v[:]); err != nil {
			t.Fatal(err)
		}
		j.Bytes += uint64(len(k) + len(v))
		m[string(k[:])] = v
	}
	j.Took, j.CPU = time.Since(start), processorTime(t)-cpu
	kept = m
	return j
}

// serveStream is the other side: it listens, and writes a map to who connects.
func serveStream(b *testing.B, m map[string]payload) (addr string) {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			out := bufio.NewWriterSize(conn, 64<<10)
			for k, v := range m {
				_, _ = out.WriteString(k)
				_, _ = out.Write(v[:])
			}
			_ = out.Flush()
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// stalls are the longest calls within some time, and how many took more than a millisecond.
type stalls struct {
	Get, Machine         time.Duration // Machine is of next to nothing: what the scheduler and other processes add
	SlowGets, SlowOthers int
}

func (s *stalls) add(o stalls) {
	s.Get, s.Machine = max(s.Get, o.Get), max(s.Machine, o.Machine)
	s.SlowGets, s.SlowOthers = s.SlowGets+o.SlowGets, s.SlowOthers+o.SlowOthers
}

// watchStalls times reads of a store, some at a time, every 100 µs or so, and beside them the reading of a map that nobody else uses.
func watchStalls(s *podshare.Store[payload]) (stop func() stalls) {
	done := make(chan struct{})
	var found stalls
	var wg sync.WaitGroup
	watch := func(longest *time.Duration, slow *int, read func(key string)) {
		keys := shuffledKeys(1024)
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				for range 16 {
					start := time.Now()
					read(keys[i%len(keys)])
					took := time.Since(start)
					if *longest = max(*longest, took); took > time.Millisecond {
						*slow++
					}
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	watch(&found.Get, &found.SlowGets, func(key string) { s.Get(key) })
	alone := maps.Clone(payloads(1024))
	watch(&found.Machine, &found.SlowOthers, func(key string) { _ = alone[key] })
	return func() stalls {
		close(done)
		wg.Wait()
		return found
	}
}

// watchHeap samples the heap until the returned function is called, which returns the highest marks.
func watchHeap() (stop func() (peak, live int64)) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var peak, live uint64
	wg.Go(func() {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
		for {
			metrics.Read(s)
			peak, live = max(peak, s[0].Value.Uint64()), max(live, s[1].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	return func() (int64, int64) {
		close(done)
		wg.Wait()
		return int64(peak), int64(live)
	}
}
