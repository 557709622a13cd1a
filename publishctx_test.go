package podshare

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The context of a publish ends with the store's own or with the caller's, for who asks for Err, who waits
// for Done, and who derives from it.
func TestEitherCtx(t *testing.T) {
	for name, asked := range map[string]bool{"Done not asked for": false, "Done asked for before": true} {
		for _, end := range []string{"own", "caller"} {
			t.Run(name+", "+end+" ends", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					own, endOwn := context.WithCancel(t.Context())
					caller, endCaller := context.WithCancel(t.Context())
					defer endOwn()
					defer endCaller()
					c := &eitherCtx{own: own, caller: caller}
					defer c.release()
					if asked {
						_ = c.Done()
					}
					require.NoError(t, c.Err())
					if end == "own" {
						endOwn()
					} else {
						endCaller()
					}
					synctest.Wait()
					require.ErrorIs(t, c.Err(), context.Canceled)
					derived, cancel := context.WithCancel(c)
					defer cancel()
					<-c.Done()
					<-derived.Done()
				})
			})
		}
	}
}

// Err never says more than Done: a context derived in between must not see the one without the other.
func TestEitherCtxErrAgreesWithDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, endCaller := context.WithCancel(t.Context())
		c := &eitherCtx{own: t.Context(), caller: caller}
		defer c.release()
		done := c.Done()
		endCaller()
		if c.Err() != nil {
			select {
			case <-done:
			default:
				t.Error("Err is set while Done is open")
			}
		}
		synctest.Wait()
		<-done
		require.ErrorIs(t, c.Err(), context.Canceled)
	})
}

// Once the publish has returned, nothing watches the caller's ctx any more.
func TestEitherCtxIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, endCaller := context.WithCancel(t.Context())
		defer endCaller()
		c := &eitherCtx{own: t.Context(), caller: caller}
		done := c.Done()
		c.release()
		<-done
		require.False(t, c.joined.Load().stop(), "it was stopped")
	})
}

// A transport that holds on to the ctx and asks it after the publish has returned leaves nothing at the caller's either.
func TestEitherCtxThatIsAskedLateIsReleased(t *testing.T) {
	caller, endCaller := context.WithCancel(t.Context())
	defer endCaller()
	c := &eitherCtx{own: t.Context(), caller: caller}
	c.release()
	<-c.Done()
	require.False(t, c.joined.Load().stop(), "it was stopped")
}

// The transport learns of the caller's deadline, and gets the caller's values.
func TestEitherCtxHasTheEarlierDeadlineAndTheValuesOfTheCaller(t *testing.T) {
	type key struct{}
	own, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	caller, cancelCaller := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Minute)
	defer cancelCaller()
	c := &eitherCtx{own: own, caller: caller}
	defer c.release()
	want, _ := caller.Deadline()
	got, ok := c.Deadline()
	require.True(t, ok)
	require.Equal(t, want, got)
	require.Equal(t, "v", c.Value(key{}))

	cancelCaller()
	unasked := &eitherCtx{own: own, caller: caller}
	defer unasked.release()
	require.ErrorIs(t, unasked.Err(), context.Canceled)
	unasked.Done()
	require.ErrorIs(t, unasked.Err(), context.Canceled, "it does not fall back")
}
