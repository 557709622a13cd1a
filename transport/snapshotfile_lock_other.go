//go:build !windows && (!unix || aix || solaris)

package transport

import (
	"io"
	"os"
)

// lockFile makes a file and locks nothing. What the package knows of these systems is a file that must not
// exist; a crash would leave it, and the pod could not start again.
func lockFile(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path that the user chose
}
