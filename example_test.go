package podshare_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"slices"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// pods returns two stores of one topic. Each pod of a service has one; here they share a process.
func pods[T any](opts ...podshare.Option[T]) (a, b *podshare.Store[T], end func()) {
	t := transport.NewMemoryTransport()
	open := func(name string) *podshare.Store[T] {
		s, err := podshare.New(context.Background(), "example", t, append(opts, podshare.WithNodeID[T](name))...)
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	a, b = open("pod-a"), open("pod-b")
	return a, b, func() {
		a.Close()
		b.Close()
		t.Close()
	}
}

// How does a program get a store?
func ExampleNew() {
	ctx := context.Background()
	t := transport.NewMemoryTransport()
	defer t.Close()

	flags, err := podshare.New(ctx, "flags", t,
		podshare.WithNodeID[bool]("pod-1"),
		podshare.WithErrorHandler[bool](func(err error) { log.Print(err) }),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer flags.Close()

	fmt.Println(flags.Topic(), flags.NodeID())
	// Output: flags pod-1
}

// How does a write reach the other pods?
func ExampleStore_Set() {
	ctx := context.Background()
	a, b, end := pods[string]()
	defer end()
	events := b.Watch(ctx)

	if err := a.Set(ctx, "backend", "v2"); err != nil {
		log.Fatal(err) // podshare.ErrBroadcast: applied here, and delivered to the others by repair
	}
	fmt.Println(a.Get("backend")) // here at once

	<-events
	fmt.Println(b.Get("backend")) // there soon
	// Output:
	// v2 true
	// v2 true
}

// Can several keys change in one step?
func ExampleStore_SetMany() {
	ctx := context.Background()
	a, b, end := pods[int]()
	defer end()
	events := b.Watch(ctx)

	if err := a.SetMany(ctx, map[string]int{"blue": 90, "green": 10}); err != nil {
		log.Fatal(err)
	}
	<-events // of one key: the other is there as well

	fmt.Println(b.Snapshot())
	// Output: map[blue:90 green:10]
}

// How do deletes look to another pod?
func ExampleStore_Delete() {
	ctx := context.Background()
	a, b, end := pods[int]()
	defer end()
	events := b.Watch(ctx, podshare.WatchKey("quota"))

	_ = a.Set(ctx, "quota", 5)
	<-events
	_ = a.Delete(ctx, "quota")
	ev := <-events

	_, held := b.Get("quota")
	fmt.Println(ev.Kind, ev.Key, held)
	// Output: delete quota false
}

// How is an update made that must not overwrite another one of this pod?
func ExampleStore_TrySet() {
	ctx := context.Background()
	a, _, end := pods[int]()
	defer end()
	_ = a.Set(ctx, "requests", 1)

	for { // until nobody came in between
		version := a.Version("requests")
		n, _ := a.Get("requests")
		won, err := a.TrySet(ctx, "requests", n+1, version)
		if err != nil {
			log.Fatal(err)
		}
		if won {
			break
		}
	}

	n, _ := a.Get("requests")
	fmt.Println(n)
	// Output: 2
}

// How is a key created only if it is absent?
func ExampleStore_TrySet_onlyIfAbsent() {
	ctx := context.Background()
	a, _, end := pods[string]()
	defer end()

	for _, owner := range []string{"first", "second"} {
		won, err := a.TrySet(ctx, "leader", owner, podshare.Version{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(owner, won)
	}
	// Output:
	// first true
	// second false
}

// How is a value changed by what it was?
func ExampleStore_Update() {
	ctx := context.Background()
	a, _, end := pods[int]()
	defer end()

	for range 3 {
		err := a.Update(ctx, "requests", func(old int, exists bool) (int, bool) {
			return old + 1, true // and with false nothing is written
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	fmt.Println(a.Get("requests"))
	// Output: 3 true
}

// How is a key deleted only if nobody has changed it?
func ExampleStore_TryDelete() {
	ctx := context.Background()
	a, _, end := pods[string]()
	defer end()
	_ = a.Set(ctx, "job", "done")
	seen := a.Version("job")

	_ = a.Set(ctx, "job", "started again")
	fmt.Println(a.TryDelete(ctx, "job", seen))
	fmt.Println(a.TryDelete(ctx, "job", a.Version("job")))
	// Output:
	// false <nil>
	// true <nil>
}

// How does a program go through all keys and values?
func ExampleStore_All() {
	ctx := context.Background()
	a, _, end := pods[int]()
	defer end()
	_ = a.SetMany(ctx, map[string]int{"blue": 90, "green": 10})

	sum := 0
	for key, weight := range a.All() { // as they are when the loop begins
		sum += weight
		_ = a.Delete(ctx, key)
	}
	fmt.Println(sum, a.Len())
	// Output: 100 0
}

// How does a program go through some of the keys?
func ExampleStore_Prefix() {
	ctx := context.Background()
	a, _, end := pods[int]()
	defer end()
	_ = a.SetMany(ctx, map[string]int{"limit/upload": 25, "limit/rate": 100, "other": 1})

	limits := maps.Collect(a.Prefix("limit/"))
	fmt.Println(limits)
	// Output: map[limit/rate:100 limit/upload:25]
}

// How is a key read in the hottest loop?
func ExampleStore_Ref() {
	ctx := context.Background()
	a, _, end := pods[bool]()
	defer end()
	verbose := a.Ref("verbose") // once; it follows the key

	_ = a.Set(ctx, "verbose", true)
	fmt.Println(verbose.Get())
	_ = a.Delete(ctx, "verbose")
	fmt.Println(verbose.Get())
	// Output:
	// true true
	// false false
}

// How does a pod follow some of the keys?
func ExampleStore_Watch() {
	ctx := context.Background()
	a, b, end := pods[int]()
	defer end()
	events := b.Watch(ctx, podshare.WatchPrefix("limit/"))

	_ = a.Set(ctx, "limit/upload", 25)
	_ = a.Set(ctx, "other", 1)
	_ = a.Delete(ctx, "limit/upload")

	for range 2 {
		ev := <-events
		fmt.Println(ev.Kind, ev.Key, ev.Value, ev.Origin)
	}
	// Output:
	// set limit/upload 25 pod-a
	// delete limit/upload 0 pod-a
}

// How does a pod give its defaults without overwriting what others have set?
func ExampleStore_Seed() {
	ctx := context.Background()
	a, b, end := pods[int]()
	defer end()

	if err := a.Seed(map[string]int{"timeout": 30, "retries": 3}); err != nil {
		log.Fatal(err) // podshare.ErrSeedNonEmpty: somebody was here before
	}
	// Seeds are ordered below every write, so this one wins although pod-b does not know of the seed.
	events := a.Watch(ctx)
	_ = b.Set(ctx, "timeout", 60)
	<-events

	for _, key := range slices.Sorted(maps.Keys(a.Snapshot())) {
		value, _ := a.Get(key)
		fmt.Println(key, value)
	}
	// Output:
	// retries 3
	// timeout 60
}

// How do concurrent writes of one key join, where otherwise the newest wins?
func ExampleWithMerger() {
	ctx := context.Background()
	union := func(existing, incoming []string) []string {
		all := append(existing, incoming...)
		slices.Sort(all)
		return slices.Compact(all)
	}
	a, b, end := pods(podshare.WithMerger(union))
	defer end()
	events := b.Watch(ctx)

	_ = a.Set(ctx, "online", []string{"ann"})
	_ = b.Set(ctx, "online", []string{"bob"}) // perhaps before pod-a's write has come
	<-events
	<-events

	fmt.Println(b.Get("online"))
	// Output: [ann bob] true
}

// How does a program see whether its pod is in touch with the others?
func ExampleStore_Health() {
	t := transport.NewMemoryTransport()
	defer t.Close()
	s, err := podshare.New[int](context.Background(), "example", t)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	fmt.Println(s.Health().State)
	// Output: alone
}
