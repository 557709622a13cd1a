package transporttest

import (
	"testing"

	"github.com/podshare/podshare/transport"
)

func TestMemoryTransportKeepsTheContractOfTables(t *testing.T) {
	RunTable(t, func(*testing.T) Table { return transport.NewMemoryTransport() })
}
