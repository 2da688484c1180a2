//go:build unix

package groupcommit

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lock opens the file at path and locks it as bbolt does. The lock ends with the file's Close. An error that wraps
// fs.ErrNotExist means that there is none, ErrInUse that another process holds it.
func lock(path string, timeout time.Duration) (*os.File, error) {
	for end := time.Now().Add(timeout); ; {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isFile(f, path) {
			return f, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, ErrInUse
		}
		time.Sleep(50 * time.Millisecond)
	}
}
