//go:build unix && !solaris && !aix

package bundle

import (
	"errors"
	"os"
	"syscall"
)

// tryLock reports whether nobody else holds the lock now. Where the file system
// has no locks, nobody does.
func tryLock(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK)
}
