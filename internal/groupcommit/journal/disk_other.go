//go:build !linux

package journal

import "os"

func allocate(f *os.File, size int64) error { return f.Truncate(size) }

func syncData(f *os.File) error { return f.Sync() }

func freeBytes(string) (free uint64, known bool) { return 0, false }
