package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/podshare/podshare/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The excess is small, and never is less admitted than the quota.
func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out))
		t.Log(out.String())
		lines := regexp.MustCompile(`2026-03-01 12:0\d  pod-a (\d+), pod-b (\d+), pod-c (\d+), together (\d+): (\d+) above the quota\n`).
			FindAllStringSubmatch(out.String(), -1)
		require.Len(t, lines, 3)
		for _, line := range lines {
			var n []int
			for _, field := range line[1:] {
				v, err := strconv.Atoi(field)
				require.NoError(t, err)
				n = append(n, v)
			}
			require.Equal(t, n[3], n[0]+n[1]+n[2])
			require.Equal(t, n[4], n[3]-quota)
			require.GreaterOrEqual(t, n[3], quota)
			require.LessOrEqual(t, n[4], 3*int(delay/interval+1))
		}
		require.Contains(t, out.String(), "Keys held: 2,")
	})
}

// A partition lets each side admit the quota; when it heals the counts are joined, and nobody admits more.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transporttest.NewNetwork(1)
		defer net.Close()
		now := time.Now()
		open := func(name string) *limiter {
			l, err := newLimiter(t.Context(), net.Pod(name), name, 10, func() time.Time { return now })
			require.NoError(t, err)
			t.Cleanup(func() { l.store.Close() })
			return l
		}
		a, b := open("pod-a"), open("pod-b")
		admitted := func(l *limiter) (n int) {
			for range 20 {
				ok, err := l.allow(t.Context(), "ann")
				require.NoError(t, err)
				if ok {
					n++
				}
			}
			return n
		}
		net.Cut("pod-a")
		require.Equal(t, 10, admitted(a))
		require.Equal(t, 10, admitted(b))
		net.Heal()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, l := range []*limiter{a, b} {
			require.Zero(t, admitted(l))
			c, _ := l.store.Get(fmt.Sprint("ann/", l.window(0)))
			require.Equal(t, uint64(20), c.Value())
		}
		now = now.Add(window)
		require.Equal(t, 10, admitted(a), "a new minute")
		now = now.Add(window)
		require.NoError(t, a.sweep(t.Context()))
		synctest.Wait()
		require.Len(t, b.store.Keys(), 1, "the count of the minute before")
	})
}
