//go:build unix

package transport

import (
	"errors"
	"syscall"
)

const canWriteNow = true

// writeNow writes what the kernel takes without waiting.
func writeNow(c syscall.RawConn, b []byte) (n int, err error) {
	failed := c.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true // never wait
	})
	switch {
	case failed != nil:
		return 0, failed
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return n, nil
}
