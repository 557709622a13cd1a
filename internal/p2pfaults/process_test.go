//go:build linux

package p2pfaults

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/podshare/podshare/internal/fleettest"
)

// process is a pod of another process, which can be killed and frozen. It is for the test's goroutine.
type process struct {
	t       *testing.T
	node    string
	cmd     *exec.Cmd
	orders  *json.Encoder
	reports *json.Decoder
	hangUp  func() // ends the orders
	stderr  bytes.Buffer
	once    sync.Once // ends it
}

// startProcess starts the test binary anew, by way of a command in front of it if there is one.
func startProcess(t *testing.T, c config, by ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	args := append(by, self)
	p := &process{t: t, node: c.Node}
	p.cmd = exec.Command(args[0], args[1:]...) //nolint:gosec // this very binary
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.orders, p.reports = json.NewEncoder(stdin), json.NewDecoder(stdout)
	p.hangUp = func() { _ = stdin.Close() }
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	p.exchange(c)
	return p
}

// order has the pod do something.
func (p *process) order(o order) report {
	p.t.Helper()
	return p.exchange(o)
}

func (p *process) exchange(say any) (r report) {
	p.t.Helper()
	watchdog := time.AfterFunc(fleettest.Patience, func() { _ = p.cmd.Process.Kill() })
	defer watchdog.Stop()
	err := p.orders.Encode(say)
	if err == nil {
		err = p.reports.Decode(&r)
	}
	if err != nil {
		p.kill()
		p.t.Fatalf("%s: %+v: %v\n%s", p.node, say, err, &p.stderr)
	}
	return r
}

func (p *process) write()                       { p.order(order{Do: "write"}) }
func (p *process) stop()                        { p.order(order{Do: "stop"}) }
func (p *process) set(key, value string)        { p.order(order{Do: "set", Key: key, Value: value}) }
func (p *process) remove(key string)            { p.order(order{Do: "remove", Key: key}) }
func (p *process) status() status               { return p.order(order{Do: "status"}).Status }
func (p *process) diary() fleettest.Diary       { return p.order(order{Do: "diary"}).Diary }
func (p *process) contents() fleettest.Contents { return p.order(order{Do: "contents"}).Contents }

// close ends the pod as a deployment does.
func (p *process) close() {
	p.once.Do(func() {
		watchdog := time.AfterFunc(fleettest.Patience, func() { _ = p.cmd.Process.Kill() })
		defer watchdog.Stop()
		assert.NoError(p.t, p.orders.Encode(order{Do: "close"}))
		p.hangUp()
		assert.NoError(p.t, p.cmd.Wait(), "%s: %s", p.node, &p.stderr)
	})
}

// kill ends the process as a crash would.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		p.hangUp()
		_ = p.cmd.Wait() // it ends by a signal
	})
}

// freeze stops the process: its connections stay open and silent.
func (p *process) freeze() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGSTOP)) }

// thaw lets a frozen one go on.
func (p *process) thaw() { require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGCONT)) }
