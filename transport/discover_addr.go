package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// joinPeer returns the address of a peer in canonical form, of which there is one for an IP address and a port: IPv6 in
// brackets and as short as can be, IPv4 without the IPv6 around it.
func joinPeer(host string, port int) (string, error) {
	if port < 1 || port > 65535 {
		return "", fmt.Errorf("port %d is not in 1–65535", port)
	}
	host, err := canonicalHost(host)
	return net.JoinHostPort(host, strconv.Itoa(port)), err
}

// parsePeer returns the canonical form of host:port.
func parsePeer(addr string) (string, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%q is no host:port", addr)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", fmt.Errorf("%q has no port of 1–65535", addr)
	}
	return joinPeer(host, int(port))
}

func canonicalHost(host string) (string, error) {
	ip, notIP := netip.ParseAddr(host)
	switch {
	case notIP != nil && isHostName(host):
		return host, nil
	case notIP != nil:
		return "", fmt.Errorf("%q is neither an IP address nor a host name", host)
	case ip.IsUnspecified(): // whoever dials it reaches itself
		return "", fmt.Errorf("%s is the address of no host", host)
	case ip.Zone() != "": // it has a meaning on one host only, and may be any text
		return "", fmt.Errorf("%q has a zone", host)
	default:
		return ip.Unmap().String(), nil
	}
}

// isHostName tells whether s may be a name in DNS, underscores allowed. One whose last label is a number is not: that
// is an IPv4 address with a mistake.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	s = strings.TrimSuffix(s, ".")
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.IndexFunc(label, notInName) >= 0 {
			return false
		}
	}
	return strings.Trim(s[strings.LastIndexByte(s, '.')+1:], "0123456789") != ""
}

func notInName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
		return false
	default:
		return true
	}
}

// selfAddr recognises this pod among the peers: by its address, or by its host whatever the port. The zero value
// recognises nothing.
type selfAddr struct{ addr, host string }

func parseSelf(s string) (self selfAddr, err error) {
	if s == "" {
		return self, nil
	}
	if _, _, notBoth := net.SplitHostPort(s); notBoth == nil {
		self.addr, err = parsePeer(s)
	} else {
		self.host, err = canonicalHost(strings.Trim(s, "[]"))
	}
	if err != nil {
		return self, fmt.Errorf("wrong Self: %w", err)
	}
	return self, nil
}

// is tells whether peer, in canonical form, is this pod.
func (s selfAddr) is(peer string) bool {
	host, _, _ := net.SplitHostPort(peer) // it was made by JoinHostPort
	return peer == s.addr || host == s.host
}
