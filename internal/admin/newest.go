package admin

import (
	"slices"

	"github.com/fsm-integrations/sidecar/dlq"
)

// newest is the other order of a list of letters: it keeps the last ones that are visited, as many as limit.
type newest struct {
	limit   int
	letters []Summary
	more    bool
}

func (n *newest) add(s Summary) {
	if len(n.letters) == 2*n.limit { // moved seldom
		n.letters = append(n.letters[:0], n.letters[n.limit:]...)
		n.more = true
	}
	n.letters = append(n.letters, s)
}

func (n *newest) page() Page {
	if over := len(n.letters) - n.limit; over > 0 {
		n.letters, n.more = n.letters[over:], true
	}
	slices.Reverse(n.letters)
	return Page{Letters: n.letters, More: n.more}
}

// newestLetters is one page of the spool's letters, newest first. All that match are visited, for the spool's order is the
// other one; no more than two pages of summaries are held.
func (s *server) newestLetters(q Query) (any, error) {
	n := &newest{limit: q.Limit, letters: []Summary{}}
	err := s.Letters.Each(q.Filter, func(l *dlq.Letter) bool {
		if q.After != "" && l.ID >= q.After {
			return false
		}
		n.add(summarize(l))
		return true
	})
	return n.page(), err
}
