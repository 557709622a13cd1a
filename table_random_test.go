package podshare_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare"
)

// Stores that merge at the same time lose nothing of each other and bring nothing back.
func TestConcurrentMergesOfStoresThatHearLittle(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			net, table := newNetwork(t, seed), newMemory(t)
			var log errorLog
			var desks []*desk
			var stores []*podshare.Store[string]
			for i := range 3 {
				d := &desk{Transport: whole{net.Pod(fmt.Sprint("pod ", i))}, table: table}
				d.beforeSwap = func([]podshare.RowChange) error {
					time.Sleep(time.Duration(i+1) * 10 * time.Millisecond) // others are faster
					return nil
				}
				desks = append(desks, d)
				stores = append(stores, open(t, d, fmt.Sprint("pod ", i), log.to(),
					podshare.WithTombstoneTTL[string](time.Minute), podshare.WithGCInterval[string](10*time.Second)))
			}
			for range 150 {
				s, key := stores[rng.IntN(3)], fmt.Sprint("key ", rng.IntN(15))
				switch rng.IntN(9) {
				case 0, 1:
					require.NoError(t, s.Delete(t.Context(), key))
				case 2:
					require.NoError(t, s.SetMany(t.Context(), map[string]string{key: "batch", key + "'": "batch"}))
				case 3:
					d := desks[rng.IntN(3)]
					d.failing.Store(!d.failing.Load())
				case 4:
					if net.Heal(); rng.IntN(2) == 0 {
						net.Cut(s.NodeID())
					}
				default:
					require.NoError(t, s.Set(t.Context(), key, fmt.Sprint(rng.Uint32())))
				}
				pass(time.Duration(rng.IntN(2000)) * time.Millisecond)
			}
			for _, d := range desks {
				d.failing.Store(false)
			}
			if rng.IntN(2) == 0 {
				pass(5 * time.Minute) // by the table alone
			}
			net.Heal()
			pass(5 * time.Minute)
			requireSame(t, stores...)
			want := stores[0].Snapshot()
			for _, s := range stores {
				require.NoError(t, s.Close())
			}
			require.Equal(t, want, inTable(t, table))
			for _, err := range log.errs {
				if !errors.Is(err, errDesk) {
					require.NotContains(t, err.Error(), "stored", "nothing fails but what the test lets fail")
				}
			}
		})
	}
}
