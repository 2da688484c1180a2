package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth is far beyond any tree's: it only ends a walk in circles.
const maxDepth = 64

// Check returns nil when everything that bbolt relies on holds: valid first pages, all pages there, every tree's
// pages of the right kind, their elements in order and lying as bbolt lays them, nothing but buckets among the buckets,
// and every page either used once or free. So what is missing is noticed too: a lower number of elements leaves a gap
// in its page, or pages that nothing leads to. It does not look at values. used is how many bytes are in pages that
// hold something.
//
// It reads each page of the file that begins a node, once.
func (f *File) Check() (used int64, err error) {
	if err := f.whole(); err != nil {
		return 0, err
	}
	c := &checker{f: f, taken: newPageSet(f.meta.pages), pages: 2}
	if err := c.tree(f.meta.root, place{buckets: true}); err != nil {
		return 0, err
	}
	if err := c.freelist(); err != nil {
		return 0, err
	}
	return int64(c.pages) * f.pageSize, nil
}

type checker struct {
	f     *File
	taken pageSet
	pages uint64
}

// take notes that a node's pages are in use.
func (c *checker) take(id uint64, n *node) error {
	if n.id != id {
		return fmt.Errorf("page %d says it is page %d", id, n.id)
	}
	if id+n.overflow >= c.f.meta.pages {
		return fmt.Errorf("page %d reaches beyond the last page", id)
	}
	for p := id; p <= id+n.overflow; p++ {
		if c.taken.has(p) {
			return fmt.Errorf("page %d is used twice", p)
		}
	}
	c.taken.add(id, n.overflow+1)
	c.pages += n.overflow + 1
	return nil
}

// A place is what is known of a node before it is read. Its keys are from low on and below high; nil: without such a
// bound. A branch names the first key of each child exactly: bbolt finds a changed child in its parent by that, and would
// else enter it twice.
type place struct {
	low, high []byte
	depth     int
	buckets   bool // all elements are buckets
}

func (c *checker) tree(id uint64, at place) error {
	if at.depth > maxDepth {
		return errors.New("a tree is too deep")
	}
	n, err := c.f.node(id, true)
	if err != nil {
		return err
	}
	if err := c.take(id, n); err != nil {
		return err
	}
	if n.damage == nil && n.size <= int64(n.overflow)*c.f.pageSize {
		return fmt.Errorf("page %d has more pages than it needs", id)
	}
	if err := c.node(n, at); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (c *checker) node(n *node, at place) error {
	switch {
	case n.damage != nil:
		return n.damage
	case n.kind != kindLeaf && n.kind != kindBranch, n.kind == kindBranch && n.count == 0:
		return errors.New("it is no page of a tree")
	case n.count == 0 && at.low != nil:
		return errors.New("it is empty")
	case n.gaps:
		return errors.New("its elements do not lie side by side")
	}
	if err := ordered(n.elements, at.low, at.high); err != nil {
		return err
	}
	for i, e := range n.elements {
		below := place{low: e.key, high: at.high, depth: at.depth + 1, buckets: at.buckets}
		if i+1 < len(n.elements) {
			below.high = n.elements[i+1].key
		}
		if err := c.element(n, e, below); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) element(n *node, e element, below place) error {
	switch {
	case n.kind == kindBranch:
		return c.tree(e.child, below)
	case e.bucket:
		return c.bucket(e, below.depth)
	case below.buckets:
		return errors.New("a bucket is none")
	}
	return nil
}

func ordered(elements []element, low, high []byte) error {
	for i, e := range elements {
		switch {
		case len(e.key) == 0,
			i == 0 && low != nil && !bytes.Equal(e.key, low),
			i > 0 && bytes.Compare(e.key, elements[i-1].key) <= 0,
			high != nil && bytes.Compare(e.key, high) >= 0:
			return errors.New("its keys are not in order")
		}
	}
	return nil
}

func (c *checker) bucket(e element, depth int) error {
	root, inline, err := c.f.inner(e, true)
	if err != nil {
		return err
	}
	if inline == nil {
		return c.tree(root, place{depth: depth})
	}
	if inline.kind != kindLeaf || inline.size != e.value.size-bucketHeader {
		return errors.New("a small bucket is no leaf of its size")
	}
	return c.node(inline, place{depth: depth})
}

func (c *checker) freelist() error {
	free, n, err := c.f.free()
	if err != nil || n == nil {
		return err
	}
	if err := c.take(c.f.meta.freelist, n); err != nil {
		return err
	}
	for _, id := range free {
		if c.taken.has(id) {
			return fmt.Errorf("page %d is free and in use", id)
		}
		c.taken.add(id, 1)
	}
	if lost := c.f.meta.pages - c.pages - uint64(len(free)); lost > 0 {
		return fmt.Errorf("%d pages are neither in use nor free", lost)
	}
	return nil
}

// free returns the numbers of the free pages and the page they are written on; no page when the file has none.
func (f *File) free() (ids []uint64, n *node, err error) {
	id := f.meta.freelist
	if id == noFreelist {
		return nil, nil, nil
	}
	if n, err = f.node(id, true); err != nil {
		return nil, nil, err
	}
	if n.kind != kindFreelist {
		return nil, nil, errors.New("the list of free pages is not where it should be")
	}
	at, count := int64(pageHeader), uint64(n.count)
	start := int64(id) * f.pageSize
	if count == 0xFFFF { // then the first number is the count
		b, err := f.value(span{start + at, 8})
		if err != nil {
			return nil, nil, err
		}
		count = binary.NativeEndian.Uint64(b)
		at += 8
	}
	if count > f.meta.pages || at+int64(count)*8 > int64(n.overflow+1)*f.pageSize {
		return nil, nil, errors.New("the list of free pages is longer than its pages")
	}
	b, err := f.value(span{start + at, int64(count) * 8})
	if err != nil {
		return nil, nil, err
	}
	for ; len(b) > 0; b = b[8:] {
		id := binary.NativeEndian.Uint64(b)
		if id < 2 || id >= f.meta.pages {
			return nil, nil, fmt.Errorf("free page %d is outside of the file", id)
		}
		ids = append(ids, id)
	}
	return ids, n, nil
}
