package pages

import "bytes"

// Each hands what can still be read to visit, as far as possible with the name of its bucket: first what the trees
// lead to, then, without a name, the elements of leaves that nothing leads to any more. Among the latter may be what
// was removed or replaced long ago, and nothing tells that a value is undamaged: visit judges. Buckets within buckets
// are not looked into. Each page is read at most once, and values of a damaged page that overlap a few times at most,
// so that it ends in a time that the size of the file bounds; visit's error ends it too.
func (f *File) Each(visit func(bucket string, key, value []byte) error) error {
	pages := uint64(f.size / f.pageSize)
	w := &walker{f: f, seen: newPageSet(pages), free: newPageSet(pages), visit: visit, left: 8*f.size + maxValue}
	// With one of the first pages lost, what this state calls free may be the last commit.
	if free, _, err := f.free(); f.metas == 2 && err == nil {
		for _, id := range free {
			w.free.add(id, 1)
		}
	}
	if f.metas > 0 {
		if err := w.roots(f.meta.root, 0); err != nil {
			return err
		}
	}
	return w.rest()
}

type walker struct {
	f     *File
	seen  pageSet
	free  pageSet // what the list of free pages names, if it can be believed
	visit func(bucket string, key, value []byte) error
	left  int64 // bytes of values that may still be read
}

// read returns the node of a page that was not read yet, nil when there is none.
func (w *walker) read(id uint64, depth int) *node {
	if depth > maxDepth || w.seen.has(id) {
		return nil
	}
	n, err := w.f.node(id, false)
	if err != nil || n.kind == kindFreelist {
		return nil
	}
	w.seen.add(id, 1)
	if last := (n.end() - 1) / w.f.pageSize; n.id == id && n.damage == nil && last > int64(id) {
		w.seen.add(id, min(uint64(last)-id, n.overflow)+1) // only as far as both agree: either may be damaged
	}
	return n
}

// end is where in the file the last value of a leaf ends; 0 for other nodes.
func (n *node) end() (end int64) {
	for _, e := range n.elements {
		end = max(end, e.value.at+e.value.size)
	}
	return end
}

// roots walks the tree whose elements are the buckets.
func (w *walker) roots(id uint64, depth int) error {
	n := w.read(id, depth)
	if n == nil {
		return nil
	}
	for _, e := range n.elements {
		var err error
		if n.kind == kindBranch {
			err = w.roots(e.child, depth+1)
		} else if e.bucket {
			err = w.bucket(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) bucket(e element) error {
	root, inline, err := w.f.inner(e, false)
	switch {
	case err != nil:
		return nil
	case inline != nil:
		return w.leaf(string(e.key), inline)
	}
	return w.tree(string(e.key), element{child: root}, 0)
}

// tree walks a tree of a bucket from the node that e leads to. One that is not what it should be loses the name.
func (w *walker) tree(bucket string, e element, depth int) error {
	id := e.child
	n := w.read(id, depth)
	if n == nil {
		return nil
	}
	// Whoever leads to a free page, or the list, is damaged: what is there may be of long ago. A branch names the first key
	// of a child.
	if w.free.has(id) || e.key != nil && (len(n.elements) == 0 || !bytes.Equal(n.elements[0].key, e.key)) {
		bucket = ""
	}
	if n.kind != kindBranch {
		return w.leaf(bucket, n)
	}
	for _, e := range n.elements {
		if err := w.tree(bucket, e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(bucket string, n *node) error {
	allowed := min(int64(maxValue), w.left)
	for _, e := range n.elements {
		if e.bucket || e.value.size > allowed {
			continue
		}
		allowed -= e.value.size
		w.left -= e.value.size
		value, err := w.f.value(e.value)
		if err != nil {
			continue
		}
		if err := w.visit(bucket, e.key, value); err != nil {
			return err
		}
	}
	return nil
}

// rest looks at every page that was not seen.
func (w *walker) rest() error {
	for id := uint64(2); id < uint64(w.f.size/w.f.pageSize); id++ {
		if w.seen.has(id) || w.free.has(id) {
			continue
		}
		n := w.read(id, 0)
		if n == nil || n.id != id || n.kind != kindLeaf {
			continue
		}
		if err := w.leaf("", n); err != nil {
			return err
		}
	}
	return nil
}
