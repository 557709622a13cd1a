//go:build linux

package p2pfaults

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podshare/podshare/transport"
)

// network is a router and some hosts, each of them a network namespace with a subnet of its own. What the router drops
// nobody is told of.
type network struct {
	t    *testing.T
	cuts map[[2]int]bool // from one host to another
}

// startNetwork makes the network, until the end of the test. It needs root, and the ip command; where they are missing
// the test is skipped, but not where CI=true.
func startNetwork(t *testing.T, hosts int) *network {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "not run as root"
	} else if out, err := exec.Command("ip", "netns", "add", namespace("router")).CombinedOutput(); err != nil { //nolint:gosec // a name of ours
		missing = fmt.Sprintf("ip netns: %v: %s", err, out)
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("p2pfaults: no network namespaces, and CI must not go without: %s", missing)
	default:
		t.Skipf("p2pfaults: SKIPPED, no network namespaces: partitions are not tested: %s", missing)
	}
	n := &network{t: t, cuts: map[[2]int]bool{}}
	t.Cleanup(func() { n.ip("netns", "del", namespace("router")) })
	n.ip("netns", "exec", namespace("router"), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	for host := range hosts {
		n.add(host)
	}
	return n
}

// add connects another host to the router.
func (n *network) add(host int) {
	n.t.Helper()
	name, port, subnet := namespace(fmt.Sprint(host)), fmt.Sprintf("host%d", host), fmt.Sprintf("10.99.%d", host)
	n.ip("netns", "add", name)
	n.t.Cleanup(func() { n.ip("netns", "del", name) })
	n.ip("link", "add", port, "netns", namespace("router"), "type", "veth", "peer", "name", "eth0", "netns", name)
	n.ip("-n", namespace("router"), "address", "add", subnet+".1/24", "dev", port)
	n.ip("-n", namespace("router"), "link", "set", port, "up")
	n.ip("-n", name, "address", "add", hostAddress(host)+"/24", "dev", "eth0")
	n.ip("-n", name, "link", "set", "lo", "up")
	n.ip("-n", name, "link", "set", "eth0", "up")
	n.ip("-n", name, "route", "add", "default", "via", subnet+".1")
}

// namespace is the name of a namespace of this process.
func namespace(what string) string { return fmt.Sprintf("p2pfaults-%d-%s", os.Getpid(), what) }

func hostAddress(host int) string { return fmt.Sprintf("10.99.%d.2", host) }

// cut drops, without a word, what one host sends to another.
func (n *network) cut(from, to int) {
	n.t.Helper()
	n.ip("-n", namespace("router"), "rule", "add", "from", hostAddress(from), "to", hostAddress(to), "blackhole")
	n.cuts[[2]int{from, to}] = true
}

// heal ends all cuts.
func (n *network) heal() {
	n.t.Helper()
	for c := range n.cuts {
		n.ip("-n", namespace("router"), "rule", "del", "from", hostAddress(c[0]), "to", hostAddress(c[1]), "blackhole")
	}
	clear(n.cuts)
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil { //nolint:gosec // arguments of ours
		n.t.Fatalf("p2pfaults: ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// fleet starts pods, each on a host and in a process of its own.
func (n *network) fleet(size int, change ...func(c *config, o *transport.P2POptions)) (f *fleet, pods []member) {
	n.t.Helper()
	f = newFleet(n.t, size, change...)
	f.address = func(host int) string { return hostAddress(host) + ":7946" }
	f.launch = func(host int) member {
		return f.startProcess(host, "ip", "netns", "exec", namespace(fmt.Sprint(host)))
	}
	for host := range size {
		pods = append(pods, f.launch(host))
	}
	f.begin()
	return f, pods
}
