//go:build unix

package redisfaults

import "syscall"

// smallWindow gives a connection a receive buffer of some KiB.
func smallWindow(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
	})
	if err != nil {
		return err
	}
	return failed
}
