package transport_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/transport"
)

// dnsMost is the longest time between two look-ups.
const dnsMost = 6 * time.Second

func watchDNS(t *testing.T, hosts ...string) (*resolver, *watcher, *reports) {
	t.Helper()
	dns, errs := &resolver{hosts: hosts}, &reports{}
	w := watch(t, &transport.DNSDiscoverer{Host: "mesh", Port: 70, OnError: errs.add, LookupHost: dns.lookup})
	synctest.Wait()
	return dns, w, errs
}

// answers lets n look-ups happen.
func (r *resolver) answers(n int) {
	for before := len(r.lookups()); len(r.lookups()) < before+n; {
		time.Sleep(time.Second) // less than the time between two
		synctest.Wait()
	}
}

func TestDNSAddressIsAPeerAtOnceAndUntilThreeAnswersLackIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, w, errs := watchDNS(t, "10.0.0.1", "10.0.0.2")
		w.wantCalls(1, "10.0.0.1:70", "10.0.0.2:70")

		dns.answer("10.0.0.1", "10.0.0.3")
		dns.answers(1)
		w.wantCalls(2, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70")
		dns.answers(1)
		w.wantCalls(2, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70")
		dns.answers(1)
		w.wantCalls(3, "10.0.0.1:70", "10.0.0.3:70")
		require.NoError(t, errs.all())
	})
}

// A server that answers with another part of its addresses each time.
func TestDNSAnswersMayBeParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, w, _ := watchDNS(t, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		for range 20 {
			for _, host := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
				dns.answer(host)
				dns.answers(1)
			}
		}
		w.wantCalls(1, "10.0.0.1:70", "10.0.0.2:70", "10.0.0.3:70")
	})
}

func TestDNSLookupsThatFailChangeNothing(t *testing.T) {
	for name, err := range map[string]error{
		"a time-out": &net.DNSError{Err: "timeout", Name: "mesh", IsTimeout: true},
		"NXDOMAIN":   &net.DNSError{Err: "no such host", Name: "mesh", IsNotFound: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dns, w, errs := watchDNS(t, "10.0.0.1", "10.0.0.2")
				dns.fail(err)
				w.after(24*time.Hour).wantCalls(1, "10.0.0.1:70", "10.0.0.2:70")
				require.ErrorIs(t, errs.all(), err)
				require.Equal(t, 1, errs.count(), "the same error is reported once")

				dns.answer("10.0.0.1", "10.0.0.2")
				dns.answers(1)
				dns.fail(err)
				dns.answers(2)
				require.Equal(t, 2, errs.count(), "it is reported again after an answer")

				dns.fail(errors.New("something else"))
				dns.answers(2)
				require.Equal(t, 3, errs.count(), "and so is another")
			})
		})
	}
}

// … they are no answer that lacks an address, and none that has it.
func TestDNSLookupsThatFailAreNotAmongTheThreeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, w, _ := watchDNS(t, "10.0.0.1", "10.0.0.2")
		dns.answer("10.0.0.1")
		dns.answers(2)
		dns.fail(errors.New("down"))
		dns.answers(5)
		w.wantCalls(1, "10.0.0.1:70", "10.0.0.2:70")
		dns.answer("10.0.0.1")
		dns.answers(1)
		w.wantCalls(2, "10.0.0.1:70")
	})
}

func TestDNSEmptyAnswersEmptyTheListAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, w, errs := watchDNS(t, "10.0.0.1")
		dns.answer()
		w.after(time.Minute).wantCalls(1, "10.0.0.1:70")
		require.ErrorContains(t, errs.all(), "no addresses")
		w.after(2 * dnsMost).wantCalls(2)
		require.Equal(t, 1, errs.count())

		dns.answer("10.0.0.2")
		w.after(dnsMost).wantCalls(3, "10.0.0.2:70")
	})
}

func TestDNSEmptyAnswersCountInOnePieceOnly(t *testing.T) {
	for name, between := range map[string]func(*resolver){
		"a failure":   func(dns *resolver) { dns.fail(errors.New("down")) },
		"an address":  func(dns *resolver) { dns.answer("10.0.0.1") },
		"many hours":  func(dns *resolver) { dns.fail(errors.New("down")); time.Sleep(10 * time.Hour) },
		"a bad reply": func(dns *resolver) { dns.answer("0.0.0.0") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dns, w, _ := watchDNS(t, "10.0.0.1")
				for range 10 {
					dns.answer()
					w.after(50 * time.Second)
					between(dns)
					dns.answers(1)
				}
				w.wantCalls(1, "10.0.0.1:70")
			})
		})
	}
}

func TestDNSWithoutPeersAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, w, _ := watchDNS(t)
		w.after(50 * time.Second).wantCalls(0)
		dns.answer("10.0.0.1")
		w.after(dnsMost).wantCalls(1, "10.0.0.1:70")
	})
}

func TestDNSAnswerIsRefusedWholeForOneBadAddress(t *testing.T) {
	for _, bad := range []string{"", "0.0.0.0", "::", "10.0.0.300", "fe80::1%eth0", "a b", "a:70", "[::1]", "-pod", "a..b", "pod\n", "x/y"} {
		t.Run(bad, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dns, w, errs := watchDNS(t, "10.0.0.1")
				dns.answer("10.0.0.2", bad)
				w.after(time.Hour).wantCalls(1, "10.0.0.1:70")
				require.ErrorContains(t, errs.all(), "peers of mesh by DNS: ")
				require.Equal(t, 1, errs.count())
			})
		})
	}
}

func TestDNSLookupHasATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := &reports{}
		w := watch(t, &transport.DNSDiscoverer{
			Host: "mesh", Port: 70, OnError: errs.add,
			LookupHost: func(ctx context.Context, host string) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		w.after(5*time.Second - 1)
		require.NoError(t, errs.all())
		w.after(1)
		require.ErrorIs(t, errs.all(), context.DeadlineExceeded)

		w.after(dnsMost) // the next one hangs
		w.end()
		require.ErrorIs(t, <-w.ended, context.Canceled)
		require.Equal(t, 1, errs.count(), "that Run ends is no error of a look-up")
	})
}

func TestDNSLookupsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns, errs := &resolver{}, &reports{}
		d := &transport.DNSDiscoverer{Host: "mesh", Port: 70, Interval: time.Minute, OnError: errs.add, LookupHost: dns.lookup}
		watch(t, d).after(24 * time.Hour)
		shortest, longest := time.Hour, time.Duration(0)
		asked := dns.lookups()
		for i, at := range asked[1:] {
			gap := at.Sub(asked[i])
			shortest, longest = min(shortest, gap), max(longest, gap)
		}
		// Of 1,440 gaps: none is in the outer quarter of a side once in 10^90.
		require.GreaterOrEqual(t, shortest, 48*time.Second)
		require.Less(t, shortest, 51*time.Second)
		require.LessOrEqual(t, longest, 72*time.Second)
		require.Greater(t, longest, 69*time.Second)
	})
}

func TestDiscovererGoesOnAfterAPanicOfItsErrorHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &resolver{err: errors.New("down")}
		w := watch(t, &transport.DNSDiscoverer{
			Host: "mesh", Port: 70, LookupHost: dns.lookup,
			OnError: func(error) { panic("handler") },
		})
		w.after(time.Minute)
		dns.answer("10.0.0.1")
		w.after(dnsMost).wantCalls(1, "10.0.0.1:70")
	})
}
