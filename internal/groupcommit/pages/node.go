package pages

import (
	"encoding/binary"
	"fmt"
)

const (
	kindBranch   = 0x01
	kindLeaf     = 0x02
	kindFreelist = 0x10

	flagBucket = 0x01

	// What is longer than this is taken for a damaged length. bbolt splits a node that is larger than a page, so that
	// all keys of one come to little more.
	maxKey   = 32 << 10
	maxKeys  = 1 << 20
	maxValue = 256 << 20
)

// A node is one page of a tree, with the pages that follow it when its elements do not fit into one.
type node struct {
	id, overflow uint64
	kind         uint16
	count        int
	elements     []element
	size         int64 // from the header to the end of the last element
	gaps         bool  // bbolt lays elements side by side, the first right after their headers: one of these lies elsewhere
	damage       error // what is wrong with the page; its other elements are good
}

// An element of a branch points to a child, one of a leaf has a value.
type element struct {
	at     int64 // where the key begins, from the page's header on
	key    []byte
	child  uint64
	bucket bool
	value  span
}

// A span is where bytes lie: in the file, or for a small bucket, that lies in its parent's page, in that.
type span struct{ at, size int64 }

// A source is where a node is read from: the file from the node's page on, or the bytes of a small bucket.
type source struct {
	file   *File
	start  int64  // in the file
	head   []byte // what is read already
	length int64  // nothing lies beyond
	strict bool   // only what the page says of itself is taken for an element
}

func (s *source) bytes(at, size int64) ([]byte, error) {
	if at < 0 || size < 0 || at > s.length-size {
		return nil, fmt.Errorf("something lies outside of its page")
	}
	if at+size <= int64(len(s.head)) {
		return s.head[at : at+size], nil
	}
	b := make([]byte, size)
	_, err := s.file.r.ReadAt(b, s.start+at)
	return b, err
}

// node reads a page. Strictly, everything must lie within the pages it says it has; otherwise within the file, for
// whoever asks can tell a good value from a bad one.
func (f *File) node(id uint64, strict bool) (*node, error) {
	if id < 2 || id >= uint64(f.size/f.pageSize) {
		return nil, fmt.Errorf("page %d is outside of the file", id)
	}
	s := &source{file: f, start: int64(id) * f.pageSize, head: make([]byte, f.pageSize), strict: strict}
	if _, err := f.r.ReadAt(s.head, s.start); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	s.length = f.size - s.start
	if run := (int64(binary.NativeEndian.Uint32(s.head[12:])) + 1) * f.pageSize; strict && run < s.length {
		s.length = run
	}
	return parse(s), nil
}

func parse(s *source) *node {
	order := binary.NativeEndian
	if len(s.head) < pageHeader {
		return &node{damage: fmt.Errorf("a page has no header")}
	}
	n := &node{id: order.Uint64(s.head), kind: order.Uint16(s.head[8:]), count: int(order.Uint16(s.head[10:])),
		overflow: uint64(order.Uint32(s.head[12:]))}
	if n.kind == kindFreelist {
		return n
	}
	if !s.strict && (n.kind == kindLeaf || n.kind == kindBranch) {
		n.count = n.headers(s)
	}
	keys := 0
	n.size = pageHeader + int64(n.count)*elementHeader
	for i := range n.count {
		e, err := n.element(s, pageHeader+int64(i)*elementHeader)
		if err != nil {
			n.damage = err
			continue
		}
		n.gaps = n.gaps || e.at != n.size
		n.size += int64(len(e.key)) + e.value.size
		if keys += len(e.key); keys > maxKeys {
			n.damage = fmt.Errorf("its keys are too long")
			break
		}
		n.elements = append(n.elements, e)
	}
	return n
}

// headers is how many elements a page may have whose count is not to be trusted. Where the first one lies tells it
// again: right after their headers. bbolt never writes more headers than fit into one page; a count beyond would take the
// elements of the pages that follow for those of this one.
func (n *node) headers(s *source) int {
	at := int64(pageHeader)
	if n.kind != kindBranch {
		at += 4
	}
	again := 0
	if b, err := s.bytes(at, 4); err == nil {
		again = int(binary.NativeEndian.Uint32(b) / elementHeader)
	}
	return min(max(n.count, again), (len(s.head)-pageHeader)/elementHeader)
}

// element reads one element. Its lengths count from where its header lies.
func (n *node) element(s *source, at int64) (e element, err error) {
	b, err := s.bytes(at, elementHeader)
	if err != nil {
		return e, err
	}
	order := binary.NativeEndian
	var keyAt, keySize int64
	if n.kind == kindBranch {
		keyAt, keySize = at+int64(order.Uint32(b)), int64(order.Uint32(b[4:]))
		e.child = order.Uint64(b[8:])
	} else {
		flags := order.Uint32(b)
		keyAt, keySize = at+int64(order.Uint32(b[4:])), int64(order.Uint32(b[8:]))
		e.bucket = flags&flagBucket != 0
		e.value = span{s.start + keyAt + keySize, int64(order.Uint32(b[12:]))}
		if flags > flagBucket || e.value.size > maxValue || keyAt+keySize+e.value.size > s.length {
			return e, fmt.Errorf("a value lies outside of its page")
		}
	}
	if keySize > maxKey {
		return e, fmt.Errorf("a key is too long")
	}
	e.at = keyAt
	e.key, err = s.bytes(keyAt, keySize)
	return e, err
}

func (f *File) value(s span) ([]byte, error) {
	b := make([]byte, s.size)
	_, err := f.r.ReadAt(b, s.at)
	return b, err
}

// inner reads a bucket's header: the page of its root, or, without one, the node that lies in the value itself.
func (f *File) inner(e element, strict bool) (root uint64, inline *node, err error) {
	b, err := f.value(e.value)
	if err != nil || len(b) < bucketHeader {
		return 0, nil, fmt.Errorf("a bucket has no header")
	}
	if root = binary.NativeEndian.Uint64(b); root != 0 {
		return root, nil, nil
	}
	b = b[bucketHeader:]
	return 0, parse(&source{file: f, start: e.value.at + bucketHeader, head: b, length: int64(len(b)), strict: strict}), nil
}
