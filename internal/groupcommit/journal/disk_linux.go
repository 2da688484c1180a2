package journal

import (
	"errors"
	"os"
	"syscall"
)

// allocate gives the file its blocks; on a file system that cannot, only its size.
func allocate(f *os.File, size int64) error {
	err := retried(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return f.Truncate(size)
	}
	return err
}

// syncData leaves out times, which nobody reads.
func syncData(f *os.File) error {
	return retried(func() error { return syscall.Fdatasync(int(f.Fd())) })
}

func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func freeBytes(dir string) (free uint64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
