package groupcommit

import "syscall"

// forget drops the mapping's pages. The mapping is shared and read-only: nothing is lost, and whoever reads a page at
// this moment finds it again. Only memory is at stake, so an error is not worth a word.
func forget(start, size uintptr) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, size, syscall.MADV_DONTNEED)
}
