//go:build linux

// Package p2pfaults breaks the network and the processes under whole fleets: stores over [transport.P2PTransport] and
// real sockets, which write all the time. What must hold afterwards is in fleet.settle.
//
// It is for Linux, where all of 127.0.0.0/8 is there to listen at and network namespaces can be had.
package p2pfaults

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
