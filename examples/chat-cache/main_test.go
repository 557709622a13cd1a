package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what a reader of the program is promised.
const output = `Each pod keeps the newest 4 messages of a room.

Every pod takes a message:
  pod-a takes 09:00:01 ann: hello
  pod-b takes 09:00:02 bob: hi ann
  pod-c takes 09:00:03 eve: hi all
  pod-a, pod-b, pod-c now:
    09:00:01 ann: hello
    09:00:02 bob: hi ann
    09:00:03 eve: hi all

The network between pod-c and the others is cut, and everybody goes on:
  pod-a takes 09:00:04 ann: lunch?
  pod-c takes 09:00:05 eve: anybody here?
  pod-b takes 09:00:06 bob: at noon
  pod-c takes 09:00:07 eve: hello?
  pod-a, pod-b now:
    09:00:02 bob: hi ann
    09:00:03 eve: hi all
    09:00:04 ann: lunch?
    09:00:06 bob: at noon
  pod-c now:
    09:00:02 bob: hi ann
    09:00:03 eve: hi all
    09:00:05 eve: anybody here?
    09:00:07 eve: hello?

The network is whole again. Nothing was overwritten, and all keep the same newest 4:
  pod-a, pod-b, pod-c now:
    09:00:04 ann: lunch?
    09:00:05 eve: anybody here?
    09:00:06 bob: at noon
    09:00:07 eve: hello?
`

func TestDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the repair after the cut takes no time here
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out))
		require.Equal(t, output, out.String())
	})
}
