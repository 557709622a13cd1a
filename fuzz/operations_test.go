package fuzz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/podshare/podshare"
	"github.com/podshare/podshare/transport"
)

// FuzzOperations runs a program of operations on a store and on a plain map: they must agree after every
// step, and a second store that starts from the snapshot that the first leaves must hold the same.
func FuzzOperations(f *testing.F) {
	f.Add([]byte("\x00\x01\x02"))
	f.Add([]byte("\x00a\x01\x01a\x00\x00a\x02"))
	f.Add([]byte("\x02abc\x03ab\x04a\x01\x00a\x04a\x02\x05\x06"))
	f.Fuzz(func(t *testing.T, program []byte) {
		ctx := t.Context()
		tr := transport.NewMemoryTransport()
		defer func() { _ = tr.Close() }()
		s, err := podshare.New[int](ctx, "fuzz", tr, podshare.WithNodeID[int]("a"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		m := model{store: s, want: map[string]int{}}
		program = program[:min(len(program), 256)] // longer ones find nothing new, slowly
		for p := (reader{program}); len(p.rest) > 0; {
			if err := m.step(ctx, &p); err != nil {
				t.Fatal(err)
			}
			if got := s.Snapshot(); !maps.Equal(got, m.want) {
				t.Fatalf("store holds %v, want %v", got, m.want)
			}
		}
		if got := s.Stats().Keys; got != len(m.want) {
			t.Fatalf("%d keys are counted, want %d", got, len(m.want))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		next, err := podshare.New[int](ctx, "fuzz", tr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = next.Close() }()
		if got := next.Snapshot(); !maps.Equal(got, m.want) {
			t.Fatalf("a store that starts from the snapshot holds %v, want %v", got, m.want)
		}
	})
}

// model is a store and the map that it must equal.
type model struct {
	store *podshare.Store[int]
	want  map[string]int
	steps int
}

// reader takes operands from a program.
type reader struct {
	rest []byte
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// key is one of sixteen, and now and then the empty one, which must be refused.
func (r *reader) key() string {
	b := r.byte() % 17
	if b == 16 {
		return ""
	}
	return fmt.Sprint("key", b)
}

// step runs one operation on both and reports where they disagree.
func (m *model) step(ctx context.Context, p *reader) error {
	m.steps++
	switch op := p.byte() % 6; op {
	case 0:
		key := p.key()
		err := m.store.Set(ctx, key, m.steps)
		if key == "" {
			return expect(err, podshare.ErrEmptyKey)
		}
		m.want[key] = m.steps
		return err
	case 1:
		key := p.key()
		err := m.store.Delete(ctx, key)
		if key == "" {
			return expect(err, podshare.ErrEmptyKey)
		}
		delete(m.want, key)
		return err
	case 2:
		batch := map[string]int{}
		for range p.byte() % 8 {
			batch[p.key()] = m.steps
		}
		err := m.store.SetMany(ctx, batch)
		if _, bad := batch[""]; bad {
			return expect(err, podshare.ErrEmptyKey)
		}
		maps.Copy(m.want, batch)
		return err
	case 3:
		var keys []string
		bad := false
		for range p.byte() % 8 {
			keys = append(keys, p.key())
			bad = bad || keys[len(keys)-1] == ""
		}
		err := m.store.DeleteMany(ctx, keys)
		if bad {
			return expect(err, podshare.ErrEmptyKey)
		}
		for _, key := range keys {
			delete(m.want, key)
		}
		return err
	case 4:
		return m.trySet(ctx, p)
	default:
		initial := map[string]int{"seed": m.steps}
		if err := m.store.Seed(initial); len(m.want) > 0 {
			return expect(err, podshare.ErrSeedNonEmpty)
		} else if err != nil {
			return err
		}
		if v, ok := m.store.Get("seed"); ok { // not where a tombstone of the key is held
			m.want["seed"] = v
		}
		return nil
	}
}

func (m *model) trySet(ctx context.Context, p *reader) error {
	key, stale := p.key(), p.byte()%2 == 0
	if key == "" {
		_, err := m.store.TrySet(ctx, key, 0, podshare.Version{})
		return expect(err, podshare.ErrEmptyKey)
	}
	prev := m.store.Version(key)
	_, exists := m.want[key]
	if prev.Exists != exists {
		return fmt.Errorf("version of %q says exists=%t, want %t", key, prev.Exists, exists)
	}
	if stale {
		prev.Exists = !prev.Exists
	}
	won, err := m.store.TrySet(ctx, key, m.steps, prev)
	if err != nil {
		return err
	}
	if won == stale {
		return fmt.Errorf("TrySet of %q with a stale=%t version: %t", key, stale, won)
	}
	if won {
		m.want[key] = m.steps
	}
	return nil
}

func expect(got, want error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("error is %v, want %v", got, want) //nolint:errorlint // either may be nil, which %w does not print
}
