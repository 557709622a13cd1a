package podshare

import (
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/wire"
)

// G8: vectors do not grow with every deploy for ever. Beyond the limit the origin that started first is
// forgotten, of those that are silent and hold nothing; what it wrote is not learned again.
func TestOldestSilentOriginIsForgottenBeyondTheLimit(t *testing.T) {
	os := newOrigins("me", 1, 3)
	boots := func(boot uint64) origin { return os.intern(wire.ID{Boot: boot, Node: 7}, "pod") }
	holding := boots(10)
	os.at(holding).held = 1
	older, newer := boots(20), boots(30) // the latter is one beyond the limit
	os.forgetOldest(20)
	require.False(t, os.at(older).forgotten, "it started too late")
	os.forgetOldest(100)
	require.True(t, os.at(older).forgotten, "the lowest boot that holds nothing")
	require.False(t, os.at(holding).forgotten || os.at(newer).forgotten)
	require.Equal(t, 1, os.forgotten)

	hash := os.vectorHash()
	os.cover(older, 1, 5)
	require.Equal(t, hash, os.vectorHash(), "nothing is learned of it")
	require.True(t, os.covers(dot{older, 99}), "a late write of it counts as seen")
	require.Equal(t, older, boots(20), "and it keeps its number")

	os.remember(os.at(older))
	require.False(t, os.covers(dot{older, 99}), "once it is heard, what it writes counts")
}

// An origin that is heard is not forgotten, however old it is and though it holds nothing.
func TestLiveOriginIsNotForgotten(t *testing.T) {
	os := newOrigins("me", 1, 2)
	live := os.intern(wire.ID{Boot: 5, Node: 7}, "live")
	os.at(live).peer = &peer{origin: live, live: true}
	silent := os.intern(wire.ID{Boot: 6, Node: 8}, "silent")
	os.at(silent).peer = &peer{origin: silent}
	os.forgetOldest(100)
	require.False(t, os.at(live).forgotten)
	require.True(t, os.at(silent).forgotten)
}

// What is forgotten leaves the hash as if it had never been there, so that pods that forget and pods that
// never knew agree.
func TestForgottenOriginLeavesNothingInTheVectorHash(t *testing.T) {
	a, b := newOrigins("me", 1, 2), newOrigins("me", 1, 2)
	gone := a.intern(wire.ID{Boot: 5, Node: 7}, "pod")
	a.cover(gone, 1, 9)
	for _, os := range []*origins{&a, &b} {
		o := os.intern(wire.ID{Boot: 6, Node: 7}, "pod")
		os.cover(o, 1, 4)
		os.forgetOldest(100)
	}
	require.True(t, a.at(gone).forgotten)
	require.Equal(t, b.vectorHash(), a.vectorHash())
}

// G9: an origin that a frame names without a write of it costs nothing that lasts.
func TestOriginsThatNothingIsHeardOfAreNotRemembered(t *testing.T) {
	r := newReplica(replicaConfig[string]{
		node: "me", boot: 1, codec: newCodec[string](JSONCodec{}, false), limits: Limits{}.withDefaults(),
		heartbeat: minHeartbeat, hashSeed: maphash.MakeSeed(),
	}, instant{mono: 1})
	r.out.changed = func(EventKind, *entry[string], bool) {}

	var records wire.Records
	records.Reset([]byte("x"), 7)
	for boot := range uint64(1000) {
		records.Index([]byte("crowd"), boot)
	}
	known := records.Index([]byte("y"), 8)
	records.Add(&wire.Record{Key: []byte("k"), Seq: 1, Stamp: 1, Value: []byte(`"v"`)})
	records.Add(&wire.Record{Key: []byte("l"), Origin: known, Seq: 1, Stamp: 1, Value: []byte(`"v"`)})
	h := wire.Header{Node: []byte("x"), Boot: 7, Head: 1, Codec: r.cfg.codec.nameBytes}
	var in inbound[string]
	require.NoError(t, in.open(wire.AppendData(nil, &h, &records, true), &r.cfg.codec, &r.cfg.limits))
	r.receive(instant{mono: 2}, &in)
	require.Equal(t, 2, r.live)
	require.Equal(t, 3, len(r.origins.list), "itself, the sender, and y")
}
