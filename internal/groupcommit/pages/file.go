// Package pages reads a bbolt file without trusting it: whether its pages hang together (File.Check), and what can
// still be read of it when they do not (File.Each).
//
// bbolt maps the file and follows what it finds there. A truncated file or a damaged page makes it panic, or ends the
// process with a signal that nothing can catch. This package reads with ordinary reads and checks every bound first,
// so the worst that a file can do is to be called damaged. The layout is that of bbolt's data format 2, which has not
// changed since 2014 (go.etcd.io/bbolt/internal/common).
package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

const (
	pageHeader    = 16 // id 8, kind 2, count 2, overflow 4
	elementHeader = 16
	bucketHeader  = 16 // root 8, sequence 8
	metaBytes     = 64
	metaMagic     = 0xED0CDAED
	metaVersion   = 2
	noFreelist    = ^uint64(0)
	maxPageSize   = 64 << 10
)

// A meta is what one of the first two pages says of the whole file. The one with the higher transaction counts.
type meta struct {
	pageSize    int64
	root        uint64
	freelist    uint64
	pages       uint64 // every page is below
	transaction uint64
}

// File is a bbolt file as bytes. It is for one goroutine at a time.
type File struct {
	r        io.ReaderAt
	size     int64
	pageSize int64
	meta     meta
	metas    int // how many of the two are valid
}

// Open looks at the first pages of a file of size bytes. It never fails: what is wrong is said by Check.
func Open(r io.ReaderAt, size int64) *File {
	f := &File{r: r, size: size, pageSize: int64(os.Getpagesize())}
	if first, ok := f.readMeta(0); ok {
		f.take(first)
	}
	// The place of the second depends on the page size, which the first may no longer tell.
	for pageSize := int64(1 << 10); pageSize <= maxPageSize; pageSize <<= 1 {
		if second, ok := f.readMeta(pageSize); ok && second.pageSize == pageSize {
			f.take(second)
			break
		}
	}
	return f
}

func (f *File) take(m meta) {
	f.metas++
	f.pageSize = m.pageSize
	if f.metas == 1 || m.transaction > f.meta.transaction {
		f.meta = m
	}
}

func (f *File) readMeta(at int64) (m meta, ok bool) {
	b := make([]byte, metaBytes)
	if _, err := f.r.ReadAt(b, at+pageHeader); err != nil {
		return m, false
	}
	order := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaBytes-8])
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion || order.Uint64(b[56:]) != sum.Sum64() {
		return m, false
	}
	m = meta{pageSize: int64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), transaction: order.Uint64(b[48:])}
	return m, m.pageSize >= 1<<10 && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
}

// whole reports what the first pages and the size of the file tell.
func (f *File) whole() error {
	switch {
	case f.metas == 0:
		return errors.New("neither of its first pages is valid")
	case f.metas == 1:
		// bbolt would go on with the state before the last commit, and not say so.
		return errors.New("one of its first pages is not valid")
	case f.meta.pages > uint64(f.size/f.pageSize):
		return fmt.Errorf("it is truncated: %d of %d pages are there", f.size/f.pageSize, f.meta.pages)
	}
	return nil
}

// A pageSet holds numbers of pages.
type pageSet []uint64

func newPageSet(n uint64) pageSet    { return make(pageSet, n/64+1) }
func (s pageSet) has(id uint64) bool { return id/64 < uint64(len(s)) && s[id/64]&(1<<(id%64)) != 0 }
func (s pageSet) add(first, n uint64) {
	for id := first; id < first+n && id/64 < uint64(len(s)); id++ {
		s[id/64] |= 1 << (id % 64)
	}
}
