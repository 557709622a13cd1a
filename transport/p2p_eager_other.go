//go:build !unix

package transport

import (
	"errors"
	"syscall"
)

const canWriteNow = false

func writeNow(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
