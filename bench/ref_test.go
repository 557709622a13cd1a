package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/podshare/podshare"
)

// BenchmarkRef reads one hot key through a Ref, and through Get as the measure (goal: a quarter); of a plain write, of one that came with
// a batch, of one with a deadline, and of none.
func BenchmarkRef(b *testing.B) {
	s := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, s)
	ctx := context.Background()
	keys := shuffledKeys(10_000)
	for _, k := range keys {
		if err := s.Set(ctx, k, small{1}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.SetMany(ctx, map[string]small{keys[1]: {1}, keys[2]: {1}}); err != nil {
		b.Fatal(err)
	}
	if err := s.SetTTL(ctx, keys[3], small{1}, never); err != nil {
		b.Fatal(err)
	}
	settle()
	for _, c := range []struct{ name, key string }{
		{"plain", keys[0]}, {"batch", keys[1]}, {"deadline", keys[3]}, {"absent", "none"},
	} {
		ref := s.Ref(c.key)
		b.Run("key="+c.name+"/impl=ref", func(b *testing.B) {
			b.ReportAllocs()
			found := 0
			for range b.N {
				v, _ := ref.Get()
				found += int(v[0])
			}
			wantFound(b, c.key, found)
		})
		b.Run("key="+c.name+"/impl=get", func(b *testing.B) {
			b.ReportAllocs()
			found := 0
			for range b.N {
				v, _ := s.Get(c.key)
				found += int(v[0])
			}
			wantFound(b, c.key, found)
		})
	}
}

func wantFound(b *testing.B, key string, found int) {
	b.Helper()
	if want := b.N; key != "none" && found != want {
		b.Errorf("%d of %d reads found the key", found, want)
	}
}

// BenchmarkRefMake makes Refs of keys that have none. All are held until the end.
func BenchmarkRefMake(b *testing.B) {
	s := openPodshare[small](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
	closeAfter(b, s)
	keys, refs := others(b.N), make([]*podshare.Ref[small], b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		refs[i] = s.Ref(keys[i])
	}
}

// BenchmarkSetBesideRefs overwrites keys while Refs of so many other keys, or of those very keys, are held.
func BenchmarkSetBesideRefs(b *testing.B) {
	keys, value := shuffledKeys(setKeys), randomPayload(newRand())
	for _, c := range []struct {
		name string
		refs []string
	}{
		{"refs=0", nil}, {"refs=1000/of=others", others(1_000)}, {"refs=10000/of=these", keys},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := openPodshare[payload](b, nowhere(b), storeOptions{codec: copyCodec{}, debounce: never})
			closeAfter(b, s)
			refs := make([]*podshare.Ref[payload], 0, len(c.refs))
			for _, key := range c.refs {
				refs = append(refs, s.Ref(key))
			}
			for _, k := range keys {
				if err := s.Set(b.Context(), k, value); err != nil {
					b.Fatal(err)
				}
			}
			settle()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := s.Set(b.Context(), keys[i%setKeys], value); err != nil {
					b.Fatal(err)
				}
			}
			for _, ref := range refs {
				ref.Get()
			}
		})
	}
}

func others(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("other:%d", i)
	}
	return keys
}
