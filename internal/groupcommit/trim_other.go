//go:build !linux

package groupcommit

// forget does nothing here: whether it would be safe is known for Linux only.
func forget(start, size uintptr) {}
