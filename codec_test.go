package podshare_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// rawCodec writes strings as they are. What begins with "bad" it refuses, what begins with "panic" it panics
// at; a suffix says when: "!" on the way out, "?" on the way in.
type rawCodec struct{ name string }

var errBadValue = errors.New("bad value")

func (c rawCodec) Marshal(v any) ([]byte, error) {
	s := v.(string)
	return []byte(s), misbehave(s, "!")
}

func (c rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*string) = string(b)
	return misbehave(string(b), "?")
}

func (c rawCodec) Name() string { return c.name }

func misbehave(s, when string) error {
	switch {
	case !strings.HasSuffix(s, when):
		return nil
	case strings.HasPrefix(s, "panic"):
		panic(s)
	case strings.HasPrefix(s, "bad"):
		return errBadValue
	}
	return nil
}

func raw() podshare.Option[string] { return podshare.WithCodec[string](rawCodec{"raw"}) }

// A value that cannot be encoded is refused before anything is applied; a batch with one, whole.
func TestValueThatCannotBeEncodedIsRefusedWithNothingApplied(t *testing.T) {
	for name, tc := range map[string]struct {
		value string
		want  error
	}{
		"error": {"bad!", errBadValue},
		"panic": {"panic!", podshare.ErrPanic},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := open(t, newMemory(t), "a", raw())
				for call, err := range map[string]error{
					"Set":     a.Set(t.Context(), "k", tc.value),
					"SetMany": a.SetMany(t.Context(), map[string]string{"a": "good", "k": tc.value, "z": "good"}),
					"TrySet":  second(a.TrySet(t.Context(), "k", tc.value, podshare.Version{})),
					"Seed":    a.Seed(map[string]string{"a": "good", "k": tc.value, "z": "good"}),
				} {
					require.ErrorIs(t, err, tc.want, call)
					var ke *podshare.KeyError
					require.ErrorAs(t, err, &ke, call)
					require.Equal(t, "k", ke.Key, call)
				}
				require.Empty(t, a.Snapshot())
				require.Zero(t, a.Stats().WritesLocal)
			})
		})
	}
}

// A value that a peer cannot decode costs that update there: the old value stays, others go on, and nobody talks
// about it for ever.
func TestValueThatCannotBeDecodedCostsOneUpdate(t *testing.T) {
	for name, tc := range map[string]struct {
		value string
		want  error
	}{
		"error": {"bad?", errBadValue},
		"panic": {"panic?", podshare.ErrPanic},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log errorLog
				tr := &tap{Transport: newMemory(t)}
				a, b := open(t, tr, "a", raw()), open(t, tr, "b", raw(), log.to())
				require.NoError(t, a.Set(t.Context(), "k", "old"))
				require.NoError(t, a.Set(t.Context(), "k", tc.value))
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"x": "v", "y": tc.value}))
				require.NoError(t, a.Set(t.Context(), "z", "v"))
				synctest.Wait()
				require.Equal(t, map[string]string{"k": "old", "z": "v"}, b.Snapshot(), "the batch is refused whole")
				require.Positive(t, log.count(tc.want))
				require.Equal(t, "k", log.keyOf(tc.want))
				requireHolds(t, a, "k", tc.value)

				requireIdleTraffic(t, tr, a, b)
				require.Less(t, log.count(nil), 200, "reports in an hour")
				require.Equal(t, map[string]string{"k": "old", "z": "v"}, b.Snapshot())
				requireHolds(t, a, "k", tc.value)
				require.NoError(t, a.SetMany(t.Context(), map[string]string{"k": "new", "x": "new", "y": "new"}))
				pass(healing)
				requireSame(t, a, b)
			})
		})
	}
}

// One undecodable entry in a frame costs that entry only, and not for ever.
func TestUndecodableEntryInAFrameIsHarmless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := &tap{Transport: newMemory(t)}
		a, b := open(t, tr, "a", log.to()), open(t, tr, "b")
		x := newStranger("x")
		publish(t, tr, x.data(x.set("first", `"v"`), x.set("bad", `{`), x.set("last", `"v"`)))
		synctest.Wait()
		require.Equal(t, map[string]string{"first": "v", "last": "v"}, a.Snapshot())
		require.Positive(t, log.count(nil))
		require.Equal(t, "bad", log.keyOf(nil))
		requireIdleTraffic(t, tr, a, b)
		requireSame(t, a, b)
	})
}

// Another codec's data is reported, never applied as zero values; nor is what one writes put in the place of
// the other's snapshot.
func TestAnotherCodecIsReportedAndNothingOfItApplied(t *testing.T) {
	for name, other := range map[string][]podshare.Option[string]{
		"codec":  {raw()},
		"merger": {podshare.WithMerger(func(_, incoming string) string { return incoming })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var logA, logB errorLog
				tr := newMemory(t)
				a := open(t, tr, "a", logA.to())
				require.NoError(t, a.Set(t.Context(), "k", "v"))
				pass(healing)
				b := open(t, tr, "b", append(other, logB.to())...)
				require.NoError(t, b.Set(t.Context(), "other", "v"))
				require.NoError(t, a.Set(t.Context(), "l", "v"))
				pass(healing)
				require.Len(t, a.Snapshot(), 2)
				require.Equal(t, map[string]string{"other": "v"}, b.Snapshot())
				require.Positive(t, logA.count(podshare.ErrCodecMismatch))
				require.Positive(t, logB.count(podshare.ErrCodecMismatch))
				require.NoError(t, b.Close())
				require.NoError(t, a.Close())
				require.Len(t, open(t, tr, "c").Keys(), 2, "the snapshot is still that of the first codec")
			})
		})
	}
}

// A codec without a Name is known by its type.
func TestCodecWithoutANameIsKnownByItsType(t *testing.T) {
	type nameless struct{ podshare.Codec }
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		nl := podshare.WithCodec[string](nameless{podshare.JSONCodec{}})
		a, b := open(t, tr, "a", nl), open(t, tr, "b", nl)
		c := open(t, tr, "c", log.to())
		require.NoError(t, a.Set(t.Context(), "k", "v"))
		synctest.Wait()
		requireHolds(t, b, "k", "v")
		requireAbsent(t, c, "k")
		require.Positive(t, log.count(podshare.ErrCodecMismatch))
	})
}

type narrow struct {
	A int
}

type wide struct {
	A int
	B int `json:",omitempty"`
}

// JSONCodec ignores unknown fields, and a pod that does not know a field hands it on all the same.
func TestUnknownFieldsSurviveAPodThatDoesNotKnowThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newNetwork(t, 1)
		a, b := openOf[wide](t, net.Pod("a"), "a"), openOf[narrow](t, net.Pod("b"), "b")
		require.NoError(t, a.Set(t.Context(), "k", wide{A: 1, B: 2}))
		synctest.Wait()
		requireHolds(t, b, "k", narrow{A: 1})
		require.NoError(t, a.Close())
		net.FlushStore()
		c := openOf[wide](t, net.Pod("c"), "c")
		pass(healing)
		requireHolds(t, c, "k", wide{A: 1, B: 2})
		require.NoError(t, c.Close())
		require.NoError(t, b.Close())
		requireHolds(t, openOf[wide](t, net.Pod("d"), "d"), "k", wide{A: 1, B: 2})
	})
}

// With StrictJSONCodec unknown fields fail, loudly; the old value stays until one comes that can be read.
func TestStrictJSONRefusesUnknownFields(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		net := newNetwork(t, 1)
		a := openOf[wide](t, net.Pod("a"), "a")
		b := openOf(t, net.Pod("b"), "b", podshare.WithCodec[narrow](podshare.StrictJSONCodec{}), podshare.WithErrorHandler[narrow](log.add))
		require.NoError(t, a.Set(t.Context(), "k", wide{A: 1}))
		require.NoError(t, a.Set(t.Context(), "k", wide{A: 2, B: 2}))
		pass(healing)
		requireHolds(t, b, "k", narrow{A: 1})
		require.Positive(t, log.count(nil))
		require.Equal(t, "k", log.keyOf(nil))
		require.NoError(t, a.Set(t.Context(), "k", wide{A: 3}))
		synctest.Wait()
		requireHolds(t, b, "k", narrow{A: 3})
	})
}

func TestStrictJSONRefusesTrailingData(t *testing.T) {
	var v int
	require.NoError(t, podshare.StrictJSONCodec{}.Unmarshal([]byte(" 1 \n"), &v))
	require.Error(t, podshare.StrictJSONCodec{}.Unmarshal([]byte("1 2"), &v))
	require.Error(t, podshare.StrictJSONCodec{}.Unmarshal([]byte("1 }"), &v))
	b, err := podshare.StrictJSONCodec{}.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, "1", string(b))
}

// A Merger that panics costs the update at hand.
func TestPanickingMergerCostsOneUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		merger := podshare.WithMerger(func(existing, incoming string) string {
			if strings.Contains(existing+incoming, "panic") {
				panic("no")
			}
			return max(existing, incoming)
		})
		tr := &tap{Transport: newMemory(t)}
		a, b := open(t, tr, "a", merger, log.to()), open(t, tr, "b", merger, log.to())
		require.NoError(t, a.Set(t.Context(), "k", "old"))
		synctest.Wait()
		for name, err := range map[string]error{
			"Set":     a.Set(t.Context(), "k", "panic"),
			"SetMany": a.SetMany(t.Context(), map[string]string{"j": "new", "k": "panic", "l": "new"}),
		} {
			require.ErrorIs(t, err, podshare.ErrPanic, name)
		}
		require.Equal(t, map[string]string{"k": "old"}, a.Snapshot())

		x := newStranger("x")
		x.codec = "json+merge"
		publish(t, tr, x.data(x.set("k", `"panic"`), x.set("z", `"v"`)))
		synctest.Wait()
		require.Equal(t, map[string]string{"k": "old", "z": "v"}, b.Snapshot())
		require.Positive(t, log.count(podshare.ErrPanic))
		require.Equal(t, "k", log.keyOf(podshare.ErrPanic))
		requireIdleTraffic(t, tr, a, b)
	})
}

// An error handler that panics hears of the next error all the same.
func TestPanickingErrorHandlerIsCalledAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log errorLog
		tr := newMemory(t)
		a := open(t, tr, "a", podshare.WithErrorHandler[string](func(err error) {
			log.add(err)
			panic(err)
		}))
		for range 3 {
			publish(t, tr, []byte("garbage"))
			pass(2 * time.Second) // bad frames are reported once a second
		}
		require.Equal(t, 3, log.count(podshare.ErrBadFrame))
		require.NoError(t, a.Set(t.Context(), "k", "v"))
	})
}
