package bench

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func podName(i int) string { return fmt.Sprintf("pod-%02d", i) }

// openNATS is NATS core: a server in this process, and a connection of its own for each pod.
func openNATS(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
	b.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		b.Fatal(err)
	}
	go s.Start()
	b.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the NATS server does not start")
	}
	conns := make([]*nats.Conn, pods)
	for pod := range conns {
		conn, err := nats.Connect(s.ClientURL(), nats.NoEcho())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(conn.Close)
		conns[pod] = conn
		if pod == 0 {
			continue
		}
		subscription, err := conn.Subscribe(topic, func(msg *nats.Msg) { receive(pod, numberOf(msg.Data)) })
		if err != nil {
			b.Fatal(err)
		}
		if err := subscription.SetPendingLimits(-1, -1); err != nil {
			b.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	return func(n uint64) error { return conns[0].Publish(topic, message(n)) }
}

// memberlistPod is a member of a memberlist that only listens, and speaks, on loopback.
type memberlistPod struct {
	list    *memberlist.Memberlist
	receive func(n uint64)
}

// openMemberlist sends user messages to each member. That is its fastest way to all: its gossip goes in steps of 100 ms, and
// of some hundred messages a second.
func openMemberlist(send func(p *memberlistPod, to *memberlist.Node, msg []byte) error) func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
	return func(b *testing.B, pods int, receive func(pod int, n uint64)) func(n uint64) error {
		b.Helper()
		var first *memberlistPod
		for pod := range pods {
			p := &memberlistPod{receive: func(n uint64) { receive(pod, n) }}
			c := memberlist.DefaultLocalConfig()
			c.Name, c.Delegate, c.LogOutput = podName(pod), p, io.Discard
			c.BindAddr, c.AdvertiseAddr, c.BindPort, c.AdvertisePort = "127.0.0.1", "127.0.0.1", 0, 0
			c.EnableCompression = false // of what cannot be compressed
			list, err := memberlist.Create(c)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = list.Shutdown() })
			if p.list = list; pod == 0 {
				first = p
				continue
			}
			if _, err := list.Join([]string{first.list.LocalNode().Address()}); err != nil {
				b.Fatal(err)
			}
		}
		var others []*memberlist.Node
		wait(b, func() bool {
			others = others[:0]
			for _, node := range first.list.Members() {
				if node.Name != podName(0) {
					others = append(others, node)
				}
			}
			return len(others) == pods-1
		})
		return func(n uint64) error {
			for _, to := range others {
				if err := send(first, to, message(n)); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

func (p *memberlistPod) sendUDP(to *memberlist.Node, msg []byte) error {
	return p.list.SendBestEffort(to, msg)
}

// sendTCP makes a connection for each message: so does memberlist.
func (p *memberlistPod) sendTCP(to *memberlist.Node, msg []byte) error {
	return p.list.SendReliable(to, msg)
}

// NotifyMsg is called with each message.
func (p *memberlistPod) NotifyMsg(msg []byte) { p.receive(numberOf(msg)) }

// The rest of a memberlist.Delegate is not needed.
func (*memberlistPod) NodeMeta(int) []byte             { return nil }
func (*memberlistPod) GetBroadcasts(int, int) [][]byte { return nil }
func (*memberlistPod) LocalState(bool) []byte          { return nil }
func (*memberlistPod) MergeRemoteState([]byte, bool)   {}
