package crdt_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/podshare/podshare/crdt"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestLWWMapLaws(t *testing.T) {
	writes := 0 // no two writes have one stamp
	at := func(t *rapid.T, replica int) crdt.Stamp {
		writes++
		skewed := noon.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "skew")) * time.Minute)
		return crdt.NewStamp(skewed.Add(time.Duration(writes)), nodes[replica])
	}
	t.Run("numbers", lattice[crdt.LWWMap[string, int]]{change: func(t *rapid.T, i int, x crdt.LWWMap[string, int]) crdt.LWWMap[string, int] {
		key := words.Draw(t, "key")
		if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
			return x.Remove(key, at(t, i))
		}
		return x.Set(key, rapid.Int().Draw(t, "value"), at(t, i))
	}}.check)
	t.Run("pointers", lattice[crdt.LWWMap[int8, *string]]{change: func(t *rapid.T, i int, x crdt.LWWMap[int8, *string]) crdt.LWWMap[int8, *string] {
		switch key := rapid.Int8Range(-2, 2).Draw(t, "key"); rapid.IntRange(0, 3).Draw(t, "change") {
		case 0:
			return x.Remove(key, at(t, i))
		case 1:
			return x.Set(key, nil, at(t, i))
		default:
			value := words.Draw(t, "value")
			return x.Set(key, &value, at(t, i))
		}
	}}.check)
}

// The newest write of a key is what remains, among writes that did not know of each other.
func TestLWWMapNewestWriteWins(t *testing.T) {
	type fields = crdt.LWWMap[string, int]
	early, late := crdt.NewStamp(noon, "b"), crdt.NewStamp(noon.Add(1), "a")
	tie := crdt.NewStamp(noon, "c")
	for name, tc := range map[string]struct {
		a, b fields
		want int
		ok   bool
	}{
		"later time":                      {fields{}.Set("k", 1, early), fields{}.Set("k", 2, late), 2, true},
		"node at tie":                     {fields{}.Set("k", 1, early), fields{}.Set("k", 2, tie), 2, true},
		"late removal":                    {fields{}.Set("k", 1, early), fields{}.Remove("k", late), 0, false},
		"late set":                        {fields{}.Remove("k", early), fields{}.Set("k", 2, late), 2, true},
		"one stamp, of which one removes": {fields{}.Set("k", 1, early), fields{}.Remove("k", early), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, m := range []fields{tc.a.Merge(tc.b), tc.b.Merge(tc.a)} {
				got, ok := m.Get("k")
				require.Equal(t, tc.want, got)
				require.Equal(t, tc.ok, ok)
			}
		})
	}
}

// Who has seen a write and writes again wins, whatever the clocks say.
func TestLWWMapCausality(t *testing.T) {
	for _, ahead := range []crdt.Stamp{
		crdt.NewStamp(noon.Add(time.Hour), "b"),
		crdt.NewStamp(time.Unix(0, math.MaxInt64), "z"), // the last moment there is
		crdt.NewStamp(noon.AddDate(5000, 0, 0), "z"),
	} {
		for _, node := range []string{"a", "zz"} {
			before := crdt.LWWMap[string, int]{}.Set("k", 1, ahead)
			after := before.Set("k", 2, crdt.NewStamp(noon, node))
			require.Positive(t, after.Stamp("k").Compare(ahead))
			n, _ := before.Merge(after).Get("k")
			require.Equal(t, 2, n)
			_, ok := before.Merge(after.Remove("k", crdt.NewStamp(noon, node))).Get("k")
			require.False(t, ok)
		}
	}
}

func TestLWWMapHoldsWhatWasSet(t *testing.T) {
	m := crdt.LWWMap[string, int]{}.
		Set("b", 2, crdt.NewStamp(noon, "a")).Set("a", 1, crdt.NewStamp(noon, "a")).Remove("c", crdt.NewStamp(noon, "a"))
	require.Equal(t, 2, m.Len())
	var keys []string
	for key := range m.All() {
		keys = append(keys, key)
	}
	require.Equal(t, []string{"a", "b"}, keys)
	for range m.All() {
		break
	}
	require.Equal(t, crdt.NewStamp(noon, "a"), m.Stamp("c"))
	require.Equal(t, crdt.Stamp{}, m.Stamp("d"))
	_, ok := m.Get("d")
	require.False(t, ok)
}

func TestStamp(t *testing.T) {
	s := crdt.NewStamp(noon.Local(), "a")
	require.Equal(t, noon, s.Time())
	require.Equal(t, "a", s.Node())
	require.Equal(t, "2026-03-01T12:00:00Z a", s.String())
	require.Equal(t, int64(math.MinInt64), crdt.NewStamp(time.Time{}, "a").Time().UnixNano())

	r := crdt.NewReplica("a")
	first := r.Stamp()
	require.WithinDuration(t, time.Now(), first.Time(), time.Minute)
	require.Equal(t, r.ID(), first.Node())
	require.Positive(t, r.Stamp().Compare(first))
}

func TestLWWMapEncoding(t *testing.T) {
	m := crdt.LWWMap[string, int]{}.Set("x", 0, crdt.NewStamp(noon.Add(1), "a")).Remove("y", crdt.NewStamp(noon, "b"))
	require.Equal(t, `[{"key":"x","value":0,"at":"2026-03-01T12:00:00.000000001Z","node":"a"},`+
		`{"key":"y","at":"2026-03-01T12:00:00Z","node":"b","removed":true}]`, written(t, m))
	require.Equal(t, `[]`, written(t, crdt.LWWMap[string, int]{}))

	var got crdt.LWWMap[string, int]
	require.NoError(t, json.Unmarshal([]byte(`[{"key":"y","at":"2026-03-01T13:00:00+01:00","node":"b","removed":true},
		{"key":"x","value":7,"at":"2026-03-01T12:00:00Z","node":"a"},
		{"key":"x","value":0,"at":"2026-03-01T12:00:00.000000001Z","node":"a"}]`), &got))
	require.Equal(t, m, got, "what is out of order or repeated is put into order")

	refused[crdt.LWWMap[string, int]](t, []string{
		`[{"key":"x","value":1}]`,
		`[{"key":"x","value":1,"at":"1066-10-14T09:00:00Z"}]`,
		`[{"key":"x","value":1,"at":"2026-03-01T12:00:00Z","removed":true}]`,
		`[{"key":"x","value":"1","at":"2026-03-01T12:00:00Z"}]`,
		`{}`,
	}, []any{
		[]any{[]any{"x", 1}},
		[]any{[]any{"x", 1, "a", 1, 1}},
		[]any{[]any{1, 1, "a"}},
		[]any{[]any{"x", "a", "a"}},
		[]any{[]any{"x", 1, 1}},
		[]any{[]any{"x", uint64(math.MaxUint64), "a"}},
		[]any{[]any{"x", 1, "a", "one"}},
		[]any{nil},
		1,
	})
	for _, m := range []crdt.LWWMap[string, int]{
		crdt.LWWMap[string, int]{}.Set("\xff", 1, crdt.Stamp{}),
		crdt.LWWMap[string, int]{}.Set("x", 1, crdt.NewStamp(noon, "\xff")),
	} {
		_, err := m.MarshalJSON()
		require.Error(t, err)
	}
}

// How do pods change different fields, or the same one, at once?
func ExampleLWWMap() {
	a, b := crdt.NewReplica("pod-a"), crdt.NewReplica("pod-b")
	profile := crdt.LWWMap[string, string]{}.Set("city", "Oslo", a.Stamp()).Set("phone", "1234", a.Stamp())

	onA := profile.Set("city", "Bergen", a.Stamp())
	onB := profile.Remove("phone", b.Stamp()).Set("city", "Tromsø", b.Stamp()) // and b's clock is not behind
	for key, value := range onA.Merge(onB).All() {
		fmt.Println(key, value)
	}
	// Output: city Tromsø
}

// How does a program bring its own clock?
func ExampleNewStamp() {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := crdt.LWWMap[string, int]{}.Set("x", 1, crdt.NewStamp(noon, "pod-a"))
	b := crdt.LWWMap[string, int]{}.Set("x", 2, crdt.NewStamp(noon, "pod-b")) // at the same time: b is after a
	fmt.Println(a.Merge(b).Get("x"))
	fmt.Println(a.Merge(b).Stamp("x"))
	// Output:
	// 2 true
	// 2026-03-01T12:00:00Z pod-b
}

func BenchmarkLWWMapMerge(b *testing.B) {
	benchmarkMerge(b, func(n int) (x, y crdt.LWWMap[string, int]) {
		for i := range n {
			x = x.Set(fmt.Sprint("key ", i), i, crdt.NewStamp(noon, "a"))
			y = y.Set(fmt.Sprint("key ", i+n/2), i, crdt.NewStamp(noon, "b"))
		}
		return x, y
	})
}
