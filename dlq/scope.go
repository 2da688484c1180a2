package dlq

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// Which open letters have a scope is kept in memory only: on disk an index by scopes, which are as good as random, would
// cost a page of its own for every letter that comes and once more when it goes.

// A hint is the first half of a UUID: it leads to the letter, and to hardly any other. 0 leads to all letters: an id
// that is no UUID has it.
type hint uint64

// hintOf reads the hint of an id.
func hintOf(id []byte) (h hint) {
	const groups = "........-....-...." // what its text looks like
	if len(id) != 36 {
		return 0
	}
	for i := range groups {
		switch c := id[i]; {
		case groups[i] == '-' && c == '-':
		case groups[i] == '.' && c >= '0' && c <= '9':
			h = h<<4 | hint(c-'0')
		case groups[i] == '.' && c >= 'a' && c <= 'f':
			h = h<<4 | hint(c-'a'+10)
		default:
			return 0
		}
	}
	return h
}

// prefix is what the ids of the hint begin with.
func (h hint) prefix() []byte {
	if h == 0 {
		return nil
	}
	digits := hex.EncodeToString(integer(uint64(h)))
	return []byte(digits[:8] + "-" + digits[8:12] + "-" + digits[12:])
}

// scopeHints leads from the hash of a scope to its open letters. Nearly every scope has one.
type scopeHints struct {
	first map[uint64]hint
	more  map[uint64][]hint
}

func newScopeHints() scopeHints {
	return scopeHints{make(map[uint64]hint), make(map[uint64][]hint)}
}

func (s scopeHints) add(key uint64, h hint) {
	if _, ok := s.first[key]; ok {
		s.more[key] = append(s.more[key], h)
	} else {
		s.first[key] = h
	}
}

func (s scopeHints) remove(key uint64, h hint) {
	first, ok := s.first[key]
	if !ok {
		return
	}
	more := s.more[key]
	if i := slices.Index(more, h); i >= 0 { // also when h is the first too: then one of it stays
		more[i] = more[len(more)-1]
		more = more[:len(more)-1]
	} else if first == h && len(more) > 0 {
		s.first[key] = more[len(more)-1]
		more = more[:len(more)-1]
	} else if first == h {
		delete(s.first, key)
	}
	if len(more) == 0 {
		delete(s.more, key)
	} else {
		s.more[key] = more
	}
}

func (s scopeHints) of(key uint64) []hint {
	first, ok := s.first[key]
	if !ok {
		return nil
	}
	return append([]hint{first}, s.more[key]...)
}

// openOf returns the ids of the open letters of a scope, those that this commit brings too.
func (t *transaction) openOf(scope string) (ids [][]byte) {
	hints := append(t.tally.hints(scope), t.commit.scopes[scope]...)
	slices.Sort(hints)
	hints = slices.Compact(hints)
	if len(hints) > 0 && hints[0] == 0 {
		hints = hints[:1] // it leads to all
	}
	for _, h := range hints {
		prefix, cursor := h.prefix(), t.letters.Cursor()
		for id, value := cursor.Seek(prefix); id != nil && bytes.HasPrefix(id, prefix); id, value = cursor.Next() {
			if s, ok := decodeSummary(id, value); ok && s.scope == scope && s.state.Open() {
				ids = append(ids, bytes.Clone(id))
			}
		}
	}
	return ids
}
