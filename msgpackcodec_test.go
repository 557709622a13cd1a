package podshare_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/podshare/podshare"
)

// route has what a value of a service may have.
type route struct {
	Host    string            `json:"host"`
	Port    int               `json:"port"`
	Weight  float64           `json:"weight"`
	Enabled bool              `json:"enabled"`
	Tags    []string          `json:"tags,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Since   time.Time         `json:"since"`
	Raw     []byte            `json:"raw,omitempty"`
	Next    *route            `json:"next,omitempty"`
}

func sampleRoute() route {
	return route{
		Host: "checkout.svc", Port: 8443, Weight: 0.25, Enabled: true, Tags: []string{"blue", "eu-1"},
		Labels: map[string]string{"team": "payments", "tier": "1", "zone": "b"},
		Since:  time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC), Raw: []byte{0, 255},
		Next: &route{Host: "fallback", Since: time.Unix(0, 0).UTC()},
	}
}

func TestMsgpackRoundTrip(t *testing.T) {
	var codec podshare.MsgpackCodec
	b, err := codec.Marshal(sampleRoute())
	require.NoError(t, err)
	var got route
	require.NoError(t, codec.Unmarshal(b, &got))
	got.Since, got.Next.Since = got.Since.UTC(), got.Next.Since.UTC()
	require.Equal(t, sampleRoute(), got)

	json, err := podshare.JSONCodec{}.Marshal(sampleRoute())
	require.NoError(t, err)
	require.Less(t, len(b), len(json)*3/4)
}

// Stores with MsgpackCodec hold the same values, also of types that need a pointer, and one with another codec is
// told so.
func TestMsgpackOverStores(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		codec := podshare.WithCodec[map[string]int](podshare.MsgpackCodec{})
		a, b := openOf(t, tr, "a", codec), openOf(t, tr, "b", codec)
		other := openOf(t, tr, "c", podshare.WithErrorHandler[map[string]int](log.add))
		require.NoError(t, a.Set(t.Context(), "k", map[string]int{"x": -1, "y": math.MaxInt}))
		synctest.Wait()
		requireHolds(t, b, "k", map[string]int{"x": -1, "y": math.MaxInt})
		requireAbsent(t, other, "k")
		require.Positive(t, log.count(podshare.ErrCodecMismatch))
	})
}

// The name of a field is that of its msgpack tag, else that of its json tag, else its own. Unknown names are ignored.
func TestMsgpackNames(t *testing.T) {
	var codec podshare.MsgpackCodec
	b, err := codec.Marshal(struct {
		A int `json:"j" msgpack:"m"`
		B int `json:"b"`
		C int
		D int `json:"-"`
		E int `json:"e,omitempty"`
	}{A: 1, B: 2, C: 3, D: 4})
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, codec.Unmarshal(b, &got))
	require.Equal(t, map[string]any{"m": int8(1), "b": int8(2), "C": int8(3)}, got)

	var narrow struct{ C int }
	require.NoError(t, codec.Unmarshal(b, &narrow))
	require.Equal(t, 3, narrow.C)
}

// Maps of string, bool and any are written by key.
func TestMsgpackSortsMaps(t *testing.T) {
	var codec podshare.MsgpackCodec
	m := map[string]any{}
	for i := range 100 {
		m[fmt.Sprint(i)] = map[string]string{"x": "1", "y": "2", "z": "3"}
	}
	first, err := codec.Marshal(m)
	require.NoError(t, err)
	for range 20 {
		again, err := codec.Marshal(m)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}

// Input that is not one complete value is refused before anything is decoded or allocated.
func TestMsgpackRefusesWhatIsNotOneValue(t *testing.T) {
	for name, input := range map[string][]byte{
		"nothing":              {},
		"two values":           {0x01, 0x02},
		"a code without use":   {0xc1},
		"a cut string":         {0xa5, 'a'},
		"a cut length":         {0xdb, 0, 0},
		"a cut number":         {0xcf, 0, 0, 0},
		"a cut extension":      {0xc7, 5, 1, 0},
		"an array of 4 G":      {0xdd, 0xff, 0xff, 0xff, 0xff},
		"a map of 4 G":         {0xdf, 0xff, 0xff, 0xff, 0xff},
		"a string of 4 GB":     {0xdb, 0xff, 0xff, 0xff, 0xff},
		"a key without value":  {0x81, 0x01},
		"nested without end":   bytes.Repeat([]byte{0x91}, 8<<20),
		"nested 1,001 deep":    append(bytes.Repeat([]byte{0x91}, 1001), 0x01),
		"maps nested too deep": append(bytes.Repeat([]byte{0x81, 0x01}, 1001), 0x01),
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []any{new(any), new([]any), new(map[string]any), new(route), new([]route), new(string), new([]byte)} {
				require.Error(t, podshare.MsgpackCodec{}.Unmarshal(input, v), "%T", v)
			}
		})
	}
	var v any
	require.NoError(t, podshare.MsgpackCodec{}.Unmarshal(append(bytes.Repeat([]byte{0x91}, 1000), 0x01), &v))
}

// What a msgpack library writes, in every form of every length, passes the check.
func TestMsgpackReadsEveryForm(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		for _, v := range []any{
			strings.Repeat("x", n), make([]byte, n), make([]bool, n), numbered(n, ""),
			int64(n), -int64(n), uint64(n) << 32, -int64(n) << 32, float32(n), float64(n),
			time.Unix(int64(n), 0), time.Unix(int64(n), 1), time.Unix(int64(n)<<34, 1),
			&msgpack.RawMessage{0xc0}, true, nil,
		} {
			b, err := msgpack.Marshal(v)
			require.NoError(t, err)
			var got any
			require.NoError(t, podshare.MsgpackCodec{}.Unmarshal(b, &got), "%T of %d", v, n)
		}
	}
	for size := range 5 { // fixext, and ext with one byte too few
		var raw msgpack.RawMessage
		ext := append([]byte{0xd4 + byte(size), 99}, make([]byte, 1<<size)...)
		require.NoError(t, podshare.MsgpackCodec{}.Unmarshal(ext, &raw))
		require.Error(t, podshare.MsgpackCodec{}.Unmarshal(ext[:len(ext)-1], &raw))
	}
}

// No input panics, whatever it is read into; what is read can be written and read again.
func TestMsgpackTakesAnyInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := podshare.MsgpackCodec{}.Marshal(sampleRoute())
		require.NoError(t, err)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		for _, v := range []any{new(any), new(route), new(map[string]any), new([]route)} {
			if err := (podshare.MsgpackCodec{}).Unmarshal(b, v); err != nil {
				require.NotErrorIs(t, err, podshare.ErrPanic, "%T", v)
			}
		}
	})
}

// panicking is a type that cannot be written or read.
type panicking struct{ S string }

func (panicking) EncodeMsgpack(*msgpack.Encoder) error  { panic("no") }
func (*panicking) DecodeMsgpack(*msgpack.Decoder) error { panic("no") }

// A panic is an error, and what it left behind spoils no later value.
func TestMsgpackPanicIsAnError(t *testing.T) {
	var codec podshare.MsgpackCodec
	for range 100 {
		_, err := codec.Marshal([]any{"begun", panicking{}})
		require.ErrorIs(t, err, podshare.ErrPanic)
		require.ErrorIs(t, codec.Unmarshal([]byte{1}, &panicking{}), podshare.ErrPanic)
		_, err = codec.Marshal(func() {})
		require.Error(t, err)
		require.Error(t, codec.Unmarshal([]byte{0xa1, 'x'}, new(int)))
		require.Error(t, codec.Unmarshal([]byte{1}, 1), "nowhere to put it")

		b, err := codec.Marshal("good")
		require.NoError(t, err)
		var got string
		require.NoError(t, codec.Unmarshal(b, &got))
		require.Equal(t, "good", got)
	}
}

// The codec is used by several goroutines at once, and keeps nothing of what it was given or gave.
func TestMsgpackConcurrently(t *testing.T) {
	var codec podshare.MsgpackCodec
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			want := sampleRoute()
			want.Host = fmt.Sprint("host ", g)
			first, err := codec.Marshal(want)
			if err != nil {
				panic(err)
			}
			kept := bytes.Clone(first)
			for range 50 {
				b, _ := codec.Marshal(want)
				var got route
				if err := codec.Unmarshal(b, &got); err != nil || got.Host != want.Host {
					panic(fmt.Sprint(got, err))
				}
				clear(b) // is this goroutine's
			}
			if !bytes.Equal(first, kept) {
				panic("an earlier result has changed")
			}
		})
	}
	wg.Wait()
}
