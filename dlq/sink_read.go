package dlq

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// UnreadableError tells that a sink holds entries that are no letters. Everything else was read.
type UnreadableError struct {
	Count int
	First error // about the first of them
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%d entries are no letters, the first: %v", e.Count, e.First)
}

// Unwrap returns what is wrong with the first.
func (e *UnreadableError) Unwrap() error { return e.First }

// A fold is what a sink says of each letter, of which it may hold several entries: the letter as it died, once or more
// often, and later that it was replayed, resolved or discarded. P is where an entry lies.
//
// A letter that is closed in any entry is closed, whatever the order: letters are never opened again, and one that was
// sent twice may be found dead behind its end. The last open entry counts for all else.
type fold[P any] struct {
	filter     Filter
	letters    map[string]sighting[P] // by letter-id
	unreadable UnreadableError
}

type sighting[P any] struct {
	closed, matches bool
	created         time.Time
	size            int // bytes of the JSON
	place           P
}

func newFold[P any](filter Filter) *fold[P] {
	return &fold[P]{filter: filter, letters: map[string]sighting[P]{}}
}

// see takes in one entry. id and state are what stands beside the letter; without them it is asked itself.
func (f *fold[P]) see(id, state string, value []byte, place P) {
	if id != "" && f.letters[id].closed {
		return
	}
	if id != "" && state != "" && !State(state).Open() {
		f.letters[id] = sighting[P]{closed: true}
		return
	}
	l, err := readLetter(value)
	if err != nil {
		f.unreadable.Count++
		f.unreadable.First = cmp.Or(f.unreadable.First, fmt.Errorf("at %v: %w", place, err))
		return
	}
	if !l.State.Open() || f.letters[l.ID].closed {
		f.letters[l.ID] = sighting[P]{closed: true}
		return
	}
	f.letters[l.ID] = sighting[P]{matches: f.filter.Matches(l), created: l.Metadata.Created, size: len(value), place: place}
}

// found is an open letter that the filter chooses.
type found[P any] struct {
	id string
	sighting[P]
}

// open returns the open letters that the filter chooses, the oldest first.
func (f *fold[P]) open() (list []found[P]) {
	for id, s := range f.letters {
		if s.matches && !s.closed {
			list = append(list, found[P]{id, s})
		}
	}
	slices.SortFunc(list, func(a, b found[P]) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return list
}

// end is what is to be said when everything was read; nil when all of it was letters.
func (f *fold[P]) end() error {
	if f.unreadable.Count == 0 {
		return nil
	}
	return &f.unreadable
}

func readLetter(value []byte) (*Letter, error) {
	l := new(Letter)
	if err := json.Unmarshal(value, l); err != nil {
		return nil, err
	}
	if l.ID == "" || l.State == "" {
		return nil, errors.New("a letter has an id and a state")
	}
	return l, nil
}

// Letters are read into memory at most this many, and about this many bytes of JSON, at a time.
const (
	readLetters = 256
	readBytes   = 8 << 20
)

// portions cuts a list into runs that may be in memory together.
func portions[P any](list []found[P]) (runs [][]found[P]) {
	start, size := 0, 0
	for i := range list {
		if i > start && (i-start == readLetters || size+list[i].size > readBytes) {
			runs = append(runs, list[start:i])
			start, size = i, 0
		}
		size += list[i].size
	}
	if start < len(list) {
		runs = append(runs, list[start:])
	}
	return runs
}
